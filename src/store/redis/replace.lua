-- Replaces one record, if what stands is of the version that is expected, on the server's clock.
-- KEYS: the record, the index of all names, and where a record is made before it takes its place.
-- ARGV: the name; the version ('' for nothing, 0 for what has none, 'look' to replace nothing); the
-- channel to tell, or ''; and the fields, each with its value, the version first.
-- Answers with the time and, if it replaced nothing, with the version and the fields that stand.
local record, index, draft = unpack(KEYS)
local name, expected, channel = unpack(ARGV, 1, 3)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local version, kind = '', redis.call('TYPE', record).ok
if kind == 'hash' then
  version = redis.call('HGET', record, 'version') or ''
end
-- Text all along: numbers are doubles here, exact up to 2^53.
if kind ~= 'none' and not (#version <= 19 and string.find(version, '^[1-9]%d*$')) then
  version = '0'
end
if version ~= expected then
  return { now, version, kind == 'hash' and redis.call('HGETALL', record) or {} }
end

local fields = {}
for i = 4, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  -- So many milliseconds from now.
  if string.sub(field, 1, 1) == '+' then
    field, value = string.sub(field, 2), string.format('%.0f', now + value)
  end
  table.insert(fields, field)
  table.insert(fields, value)
end
-- What stands is replaced by one command, so it stays whole whatever the user may not do.
redis.call('ZADD', index, 0, name)
redis.call('DEL', draft)
redis.call('HSET', draft, unpack(fields))
redis.call('RENAME', draft, record)
if channel ~= '' then
  -- Those who watch look from time to time besides: it is no failure of the write.
  redis.pcall('PUBLISH', channel, ARGV[5] .. ' ' .. name)
end
return { now, false, {} }
