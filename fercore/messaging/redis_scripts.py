"""The steps that Redis takes at once: end a message, claim from dead workers, withdraw, look.

Written for one Redis of version 6.2 to 8, not for a Redis cluster: worker keys are made up inside.
"""

from collections.abc import Mapping

from fercore.messaging.envelope import dead_record, to_fields
from fercore.messaging.queue import (
    DEAD_STREAM,
    DEAD_STREAM_MAXLEN,
    REPLY_STREAM_TTL_MS,
    STREAM_MAXLEN,
    WORK_STREAM_TTL_MS,
    Ending,
)

END = """
-- KEYS: the stream, then those to publish on. ARGV: group, id, then for each to publish on:
-- '~' or '=', its greatest length, its time to live in ms or 0, how many field arguments follow, and those.
-- The first to acknowledge wins, and only he publishes.
-- The acknowledgement comes first, for Redis refuses no later write of a script when memory is out.
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XDEL', KEYS[1], ARGV[2])
local at = 3
for i = 2, #KEYS do
  local ttl_ms, n = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  redis.call('XADD', KEYS[i], 'MAXLEN', ARGV[at], ARGV[at + 1], '*', unpack(ARGV, at + 4, at + 3 + n))
  if ttl_ms > 0 then
    redis.call('PEXPIRE', KEYS[i], ttl_ms)
  end
  at = at + 4 + n
end
return 1
"""

CLAIM = """
-- KEYS: the stream. ARGV: group, who claims, how many at most, prefix of worker keys, how long a living
-- worker's message is left alone (ms), how many such are looked at.
-- Returns how many were dropped past their deadline, then {id, deliveries, fields} of each that was claimed.
local stream, group, me, max_n, prefix = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local expired, claimed = 0, {}

local function is_past_deadline(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'deadline_ms' then
      local deadline_ms = tonumber(fields[i + 1])
      return deadline_ms and deadline_ms <= now_ms
    end
  end
  return false
end

local function drop_if_gone_or_expired(id, entry)
  if not entry then -- trimmed away; Redis 6.2 says so by nil, 7 by leaving it out
    redis.call('XACK', stream, group, id)
    return true
  end
  if is_past_deadline(entry[2]) then
    redis.call('XACK', stream, group, id)
    redis.call('XDEL', stream, id)
    expired = expired + 1
    return true
  end
  return false
end

redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM') -- fails where there is one

for _, pending in ipairs(redis.call('XPENDING', stream, group, 'IDLE', ARGV[5], '-', '+', ARGV[6])) do
  drop_if_gone_or_expired(pending[1], redis.call('XRANGE', stream, pending[1], pending[1])[1])
end

for _, pairs_of_consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local name
  for i = 1, #pairs_of_consumer, 2 do
    if pairs_of_consumer[i] == 'name' then
      name = pairs_of_consumer[i + 1]
    end
  end
  if name ~= me and redis.call('EXISTS', prefix .. name) == 0 then
    if #claimed < max_n then
      for _, pending in ipairs(redis.call('XPENDING', stream, group, '-', '+', max_n - #claimed, name)) do
        local id = pending[1]
        local entry = redis.call('XCLAIM', stream, group, me, '0', id)[1]
        if not drop_if_gone_or_expired(id, entry) then
          table.insert(claimed, {id, pending[4] + 1, entry[2]})
        end
      end
    end
    if #redis.call('XPENDING', stream, group, '-', '+', 1, name) == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
    end
  end
end
return {expired, claimed}
"""

WITHDRAW = """
-- KEYS: the stream, the worker key. ARGV: group, worker.
redis.call('DEL', KEYS[2])
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if not held.err and #held == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
"""

BACKLOG = """
-- KEYS: the stream. Returns how many messages it has, and the age of the oldest in ms.
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local age_ms = 0
if oldest then
  local time = redis.call('TIME')
  age_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(oldest[1]:match('^%d+'))
end
return {redis.call('XLEN', KEYS[1]), math.max(age_ms, 0)}
"""


def reply_key(reply_to: str) -> str:
    """Name the reply stream of a gateway."""
    return f"fer:reply:{reply_to}"


def flatten(fields: Mapping[str, bytes]) -> list[str | bytes]:
    """Return fields as the arguments of XADD."""
    return [part for field in fields.items() for part in field]


def end_arguments(ending: Ending, *, sent_ms: float) -> tuple[list[str], list[str | int | bytes]]:
    """Return the keys and the arguments with which `END` ends a message."""
    message = ending.message
    keys = [message.channel.stream]
    arguments: list[str | int | bytes] = [message.channel.service, message.message_id]

    def publish(key: str, trim: str, maxlen: int, ttl_ms: int, fields: Mapping[str, bytes]) -> None:
        parts = flatten(fields)
        keys.append(key)
        arguments.extend((trim, maxlen, ttl_ms, len(parts), *parts))

    if ending.forward is not None:
        channel, envelope = ending.forward
        publish(channel.stream, "~", STREAM_MAXLEN, WORK_STREAM_TTL_MS, to_fields(envelope, sent_ms=sent_ms))
    if ending.reply is not None:
        fields = to_fields(ending.reply, sent_ms=sent_ms)
        publish(reply_key(ending.reply.reply_to), "~", STREAM_MAXLEN, REPLY_STREAM_TTL_MS, fields)
    if ending.dead_reason is not None:
        publish(DEAD_STREAM, "=", DEAD_STREAM_MAXLEN, 0, dead_record(message, ending.dead_reason))
    return keys, arguments
