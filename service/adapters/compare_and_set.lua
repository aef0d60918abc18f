-- Write an object's value unless another writer changed it since it was read.
-- KEYS[1]  the object
-- KEYS[2]  its summary, on the same node; absent to leave that as it is
-- ARGV[1]  the new value
-- ARGV[2]  the counter of the value that was read: bytes 8 to 15, zeros where there was none
-- ARGV[3]  expiry in milliseconds
-- ARGV[4]  the new summary
-- Returns 1 if written, 0 if the race was lost.
local counter = redis.call('GETRANGE', KEYS[1], 8, 15)
if counter == '' and redis.call('EXISTS', KEYS[1]) == 0 then
  counter = '\0\0\0\0\0\0\0\0'
end
if counter ~= ARGV[2] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
if KEYS[2] then
  redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3])
end
return 1
