local generation, fence, not_before, why = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
-- Of the record that the lease was taken on.
local replayed, intended_at = ARGV[6], ARGV[7]
-- In doubt as well: a bystander could not know that nothing was sent, the holder does.
local statuses = { leased = true, sending = true, in_doubt = true }
local record, refusal = guarded(generation, fence, statuses)
if not record then
  return refusal
end
local fails = tonumber(record.fails)
write(record, {
  -- A replay that sent nothing leaves the doubt it came from.
  status = replayed == '1' and 'in_doubt' or 'active',
  replayed = '0',
  intended_at = intended_at,
  not_before = after(not_before),
  fails = string.format('%.0f', math.min(fails + 1, 4294967295)),
  last_error = why,
})
wake()
return answer('done')
