-- A cell is one string (cell.ts documents it):
--   1      format, '1'
--   2      state: 'L' live, 'S' stale and retained, '-' no value
--   3-26   label L     27-50  label U
--   51-63  time of a load from the primary in ms, zeros when from a replica
--   64     '+' when a lease is out: 16 digits of its id, 13 digits of its end in ms; else '-'
--   then   the value

local NO_LABEL = string.rep('0', 48)
local NO_LOAD_TIME = string.rep('0', 13)

-- Whether a string is a cell. The whole layout is looked at: half a cell that got past this would fail in the
-- middle of a batch, which would be sent again for ever.
local function is_cell(raw)
  if #raw < 64 or not string.find(raw, '^1[LS-]') then return false end
  if string.find(string.sub(raw, 3, 50), '[^0-9a-f]') or string.find(string.sub(raw, 51, 63), '%D') then return false end
  local lease = string.sub(raw, 64, 64)
  return lease == '-' or (lease == '+' and #raw >= 93 and not string.find(string.sub(raw, 81, 93), '%D'))
end

-- The cell; nil when there is none; nil and true when what is there is no cell, so that the caller can drop it.
local function load_cell(key)
  local raw = redis.pcall('GET', key)
  if not raw then return nil end
  if type(raw) ~= 'string' or not is_cell(raw) then return nil, true end
  local cell = {
    state = string.sub(raw, 2, 2),
    low = string.sub(raw, 3, 26),
    label = string.sub(raw, 3, 50),
    loaded = string.sub(raw, 51, 63),
    value = string.sub(raw, 65),
  }
  if string.sub(raw, 64, 64) == '+' then
    cell.lease = string.sub(raw, 65, 80)
    cell.lease_end = tonumber(string.sub(raw, 81, 93))
    cell.value = string.sub(raw, 94)
  end
  return cell
end

-- Writes the cell with its time to live in ms; a cell with neither value nor lease is removed.
local function save_cell(key, cell, ttl)
  if cell.state == '-' and not cell.lease then
    redis.call('DEL', key)
    return
  end
  local lease = '-'
  if cell.lease then lease = '+' .. cell.lease .. string.format('%013.0f', cell.lease_end) end
  redis.call('SET', key, '1' .. cell.state .. cell.label .. cell.loaded .. lease .. cell.value, 'PX', ttl)
end

local function without_value(cell)
  return {
    state = '-',
    label = NO_LABEL,
    loaded = NO_LOAD_TIME,
    value = '',
    lease = cell.lease,
    lease_end = cell.lease_end,
  }
end
