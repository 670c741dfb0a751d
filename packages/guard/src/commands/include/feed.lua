-- What subscribers are told of a partition, so that in-process copies go when cells do (feed.ts says what they make of
-- it). One message a batch, in the script that applies it, numbered by the batch's Kafka offsets: whoever has seen up
-- to `next` knows by `from` whether it missed one. Nothing that is told here is needed to keep Redis lawful, so a user
-- who may not publish applies all the same, and its subscribers hear nothing, which they notice.

local FEED_MAX_KEYS = 1000
local FEED_MAX_BYTES = 65536

-- The keys, or nil when they are more than a message may carry.
local function announced(keys)
  if #keys > FEED_MAX_KEYS then return nil end
  local bytes = 0
  for _, key in ipairs(keys) do
    bytes = bytes + #key
  end
  if bytes > FEED_MAX_BYTES then return nil end
  return keys
end

-- The floors are told, all of them, when one rose.
local function tell(channel, view, from, keys, floors_rose)
  local message = {
    from = from,
    next = view.offset,
    epoch = view.epoch,
    watermark = view.watermark,
    newest = view.newest,
    beat = view.beat,
    gap = view.gap,
  }
  if floors_rose then message.floors = view.floors end
  if #keys > 0 then
    message.keys = announced(keys)
    if not message.keys then message.many = true end
  end
  redis.pcall('PUBLISH', channel, cjson.encode(message))
end
