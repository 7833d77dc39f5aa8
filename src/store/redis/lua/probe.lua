-- Whether all that the steps do is allowed and possible here. KEYS[1] is a key beside the records.
local calls = {
  { 'TIME' },
  { 'HGETALL', KEYS[1] },
  { 'HSET', KEYS[1], 'schema', '1' },
  { 'PUBLISH', KEYS[1], '' },
  -- To its own name, which is taken.
  { 'RENAMENX', KEYS[1], KEYS[1] },
}
for _, call in ipairs(calls) do
  local reply = redis.pcall(unpack(call))
  if type(reply) == 'table' and reply.err then
    return { call[1], reply.err }
  end
end
return {}
