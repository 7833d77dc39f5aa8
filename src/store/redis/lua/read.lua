local record, err = standing()
if err then
  return err
end
return answer(record and 'stands' or 'never seen', record)
