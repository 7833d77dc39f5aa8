local generation, fence, answer_within = ARGV[2], ARGV[3], ARGV[4]
local record, refusal = guarded(generation, fence, { leased = true })
if not record then
  return refusal
end
write(record, {
  status = 'sending',
  intended_at = string.format('%.0f', now),
  deadline = after(answer_within),
})
return answer('done')
