-- What all steps share; each is this and its own file, run whole as one script on one key.
-- KEYS[1] is the record's key and its channel. ARGV[1] is the name of the account.
local key, account = KEYS[1], ARGV[1]

-- A later version that writes records otherwise raises it: this one then leaves them alone.
local SCHEMA = '1'
-- The forms of a grant's bytes that this version reads. Their first byte tells the form, the twenty
-- after that are the SHA-1 of all others.
local FORMS = { [3] = true, [4] = true }
local LONGEST_WAIT = 3600000 -- ms; Record::LONGEST_WAIT
local MAX = '18446744073709551615' -- of the 64 bits that a generation, a fence and a time have

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Numbers are doubles here, exact up to 2^53. Generations and fences stay text.
local function below(a, b)
  if #a ~= #b then
    return #a < #b
  end
  return a < b
end

local function up(number)
  if number == MAX then
    return MAX
  end
  local head, digit, nines = string.match(number, '^(%d-)([0-8]?)(9*)$')
  return head .. string.format('%d', (tonumber(digit) or 0) + 1) .. string.rep('0', #nines)
end

local function is_number(text, max)
  local digits = text == '0' or (text and #text <= #max and string.find(text, '^[1-9]%d*$'))
  return digits and not below(max, text)
end

-- The moment so many milliseconds from now. Past some thirty thousand years that is "never".
local function after(millis)
  if #millis > 15 then
    return MAX
  end
  return string.format('%.0f', now + tonumber(millis))
end

-- Nothing is written further ahead than the longest wait: what seems to be was written before the
-- clock was set back, and no longer counts.
local function ahead(moment)
  local left = tonumber(moment) - now
  return left > 0 and left <= LONGEST_WAIT
end

local function corrupt(why)
  return redis.error_reply('CORRUPT ' .. why)
end

local NUMBERS = { 'generation', 'lineage', 'issued_at', 'fence', 'deadline', 'not_before' }
-- Empty for "none".
local OPTIONAL_NUMBERS = { 'expires_at', 'intended_at' }
local TEXTS = { 'owner', 'last_error' }
local STATUSES = { active = true, leased = true, sending = true, in_doubt = true, revoked = true }

-- What stands, unchecked; nothing, if the account was never seen; or nothing and an error.
local function found()
  local flat = redis.pcall('HGETALL', key)
  if flat.err then
    return nil, flat
  end
  if #flat == 0 then
    return nil
  end
  local record = {}
  for i = 1, #flat, 2 do
    record[flat[i]] = flat[i + 1]
  end
  return record
end

-- Why what stands is no record of this account at all, so that none of its fields says anything.
local function flaw_of_kind(record)
  if not record then
    return nil
  end
  if record.schema ~= SCHEMA then
    return corrupt('it is of another version of this crate, or no record')
  end
  if record.account ~= account then
    return corrupt('it is the record of another account')
  end
end

-- Why what stands cannot be read, its grant left aside; nothing, if it can.
local function flaw(record)
  local err = flaw_of_kind(record)
  if err or not record then
    return err
  end
  for _, field in ipairs(NUMBERS) do
    if not is_number(record[field], MAX) then
      return corrupt('no number: ' .. field)
    end
  end
  for _, field in ipairs(OPTIONAL_NUMBERS) do
    if record[field] ~= '' and not is_number(record[field], MAX) then
      return corrupt('no number: ' .. field)
    end
  end
  for _, field in ipairs(TEXTS) do
    if not record[field] then
      return corrupt('missing: ' .. field)
    end
  end
  if not is_number(record.fails, '4294967295') then
    return corrupt('no number: fails')
  end
  if not STATUSES[record.status or ''] then
    return corrupt('unknown status')
  end
  if record.replayed ~= '0' and record.replayed ~= '1' then
    return corrupt('no flag: replayed')
  end
end

local function flaw_of_grant(record)
  if not record then
    return nil
  end
  local grant = record.grant or ''
  if not FORMS[string.byte(grant) or 0] then
    return corrupt('the grant is missing, or of another version of this crate')
  end
  local checksum = string.gsub(string.sub(grant, 2, 21), '.', function(byte)
    return string.format('%02x', string.byte(byte))
  end)
  if checksum ~= redis.sha1hex(string.sub(grant, 1, 1) .. string.sub(grant, 22)) then
    return corrupt('the grant is damaged or cut short')
  end
end

-- The record that stands, checked whole before anything is written over it; nothing, if the
-- account was never seen; or nothing and an error.
local function standing()
  local record, err = found()
  err = err or flaw(record) or flaw_of_grant(record)
  if err then
    return nil, err
  end
  return record
end

-- All of a step's changes are one command, so there is no half of it whatever fails.
local function write(record, changes)
  local flat = {}
  for field, value in pairs(changes) do
    record[field] = value
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  redis.call('HSET', key, unpack(flat))
end

-- Wakes those who watch. They poll as well: that a message cannot be sent makes no failure of the
-- step. Not for a lease or an intent, which end nobody's wait.
local function wake()
  redis.pcall('PUBLISH', key, '')
end

local function answer(tag, record)
  local flat = { tag, string.format('%.0f', now) }
  for field, value in pairs(record or {}) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  return flat
end

-- A record as it is just written: active or revoked, no lease, no failures.
local function fresh(record, generation, lineage, status, grant, expires_at, fence, why)
  local moment = string.format('%.0f', now)
  local written = {}
  write(written, {
    schema = SCHEMA,
    account = account,
    generation = generation,
    lineage = lineage,
    status = status,
    grant = grant,
    issued_at = moment,
    expires_at = expires_at,
    fence = fence or (record and up(record.fence)) or '0',
    owner = '',
    deadline = moment,
    intended_at = '',
    replayed = '0',
    not_before = '0',
    fails = '0',
    last_error = why or '',
  })
  wake()
  return written
end

-- The record, if generation and fence still stand and its status is one of these; else the answer.
local function guarded(generation, fence, statuses)
  local record, err = standing()
  if err then
    return nil, err
  end
  if not record or record.generation ~= generation or record.fence ~= fence
      or not statuses[record.status] then
    return nil, answer('refused')
  end
  return record
end
