local generation, fence, why = ARGV[2], ARGV[3], ARGV[4]
local record, refusal = guarded(generation, fence, { sending = true, in_doubt = true })
if not record then
  return refusal
end
write(record, { status = 'revoked', last_error = why })
wake()
return answer('done')
