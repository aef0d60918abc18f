-- Write the values of n objects, each unless another writer changed it since it was read.
-- KEYS     the objects; then their summaries if ARGV[3] says so; then their archived rows if any of
--          ARGV[4] is not '-'; all keys of an object are on one node
-- ARGV     1: expiry in milliseconds; 2: n; 3: '1' if there are summaries; 4: one letter per object for
--          its archived rows: '-' there are none, k keep, s set, a append, d delete; then for each object
--          its new value and the counter of the value that was read, which is bytes 8 to 15, or zeros if
--          there was none; then the new summaries; then the archived rows of those objects that have s or
--          a, in order
-- Returns for each object 1 if written, 0 if the race was lost.
local expiry, n, actions = ARGV[1], tonumber(ARGV[2]), ARGV[4]
local summaries = ARGV[3] == '1' and n or 0
local rows = 4 + 2 * n + summaries
local written = {}
for i = 1, n do
  local action = string.sub(actions, i, i)
  local has_rows = action == 's' or action == 'a'
  if has_rows then
    rows = rows + 1
  end
  local counter = redis.call('GETRANGE', KEYS[i], 8, 15)
  if counter == '' and redis.call('EXISTS', KEYS[i]) == 0 then
    counter = '\0\0\0\0\0\0\0\0'
  end
  if counter == ARGV[2 * i + 4] then
    redis.call('SET', KEYS[i], ARGV[2 * i + 3], 'PX', expiry)
    if summaries > 0 then
      redis.call('SET', KEYS[n + i], ARGV[4 + 2 * n + i], 'PX', expiry)
    end
    if action ~= '-' then
      local key = KEYS[n + summaries + i]
      if action == 's' then
        redis.call('SET', key, ARGV[rows], 'PX', expiry)
      elseif action == 'd' then
        redis.call('UNLINK', key)
      else
        if action == 'a' then
          redis.call('APPEND', key, ARGV[rows])
        end
        redis.call('PEXPIRE', key, expiry)
      end
    end
    written[i] = 1
  else
    written[i] = 0
  end
end
return written
