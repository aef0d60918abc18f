-- Write the values of n objects, each unless another writer changed it since it was read.
-- KEYS     the objects; behind them their summaries, on the same node, absent to leave those as they are
-- ARGV     1: expiry in milliseconds; 2: n; then for each object its new value and the counter of the
--          value that was read, which is bytes 8 to 15, zeros where there was none; then the new summaries
-- Returns for each object 1 if written, 0 if the race was lost.
local expiry, n = ARGV[1], tonumber(ARGV[2])
local written = {}
for i = 1, n do
  local counter = redis.call('GETRANGE', KEYS[i], 8, 15)
  if counter == '' and redis.call('EXISTS', KEYS[i]) == 0 then
    counter = '\0\0\0\0\0\0\0\0'
  end
  if counter == ARGV[2 * i + 2] then
    redis.call('SET', KEYS[i], ARGV[2 * i + 1], 'PX', expiry)
    if KEYS[n + i] then
      redis.call('SET', KEYS[n + i], ARGV[2 * n + 2 + i], 'PX', expiry)
    end
    written[i] = 1
  else
    written[i] = 0
  end
end
return written
