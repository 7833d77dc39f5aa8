local generation, owner, lease, from = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local record, err = standing()
if err then
  return err
end
if not record then
  return corrupt('it is gone')
end
local free
if from == 'active' then
  free = (record.status == 'active' and not ahead(record.not_before))
    or (record.status == 'leased' and not ahead(record.deadline))
else
  free = record.status == 'in_doubt' and record.replayed == '0' and not ahead(record.not_before)
end
if record.generation ~= generation or not free then
  return answer('lost', record)
end
write(record, {
  status = 'leased',
  fence = up(record.fence),
  owner = owner,
  deadline = after(lease),
  replayed = from == 'active' and record.replayed or '1',
})
return answer('granted', record)
