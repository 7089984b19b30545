"""What runs on the Redis server: each script runs alone there, so it sees one moment.

A store's keys: `PREFIX:w` who may write, `PREFIX:v` how many commits there were, `PREFIX:c:WRITER`
a writer's last one, for as long as it may ask, `PREFIX:h:SPACE` the values, `PREFIX:z:SPACE` the
keys in order.
"""

from __future__ import annotations

__all__ = ["COMMIT", "GET", "LAST", "RELEASE", "RENEW", "SCAN", "TAKE"]

TAKE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""

RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

# KEYS: w, v, c. ARGV: token, commit, how long it is remembered (ms), then changes:
# 'c' space; 'p' space key value; 'd' space key.
COMMIT = """
if redis.call('GET', KEYS[3]) == ARGV[2] then return 'ok' end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
local base, at = string.sub(KEYS[2], 1, -2), 4
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
redis.call('INCR', KEYS[2])
while at < #ARGV do
  local h, z = base .. 'h:' .. ARGV[at + 1], base .. 'z:' .. ARGV[at + 1]
  if ARGV[at] == 'c' then
    redis.call('DEL', h, z)
    at = at + 2
  elseif ARGV[at] == 'p' then
    redis.call('HSET', h, ARGV[at + 2], ARGV[at + 3])
    redis.call('ZADD', z, 0, ARGV[at + 2])
    at = at + 4
  else
    redis.call('HDEL', h, ARGV[at + 2])
    redis.call('ZREM', z, ARGV[at + 2])
    at = at + 3
  end
end
return 'ok'
"""

# KEYS: v, h, z. ARGV: keys.
GET = """
local version = redis.call('GET', KEYS[1]) or '0'
local found = {version}
for at, key in ipairs(ARGV) do found[at + 1] = redis.call('HGET', KEYS[2], key) end
return found
"""

# KEYS: v, h, z. ARGV: low, high, how many.
SCAN = """
local version = redis.call('GET', KEYS[1]) or '0'
local keys = redis.call('ZRANGEBYLEX', KEYS[3], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local values = {}
if #keys > 0 then values = redis.call('HMGET', KEYS[2], unpack(keys)) end
return {version, keys, values}
"""

# KEYS: v, h, z. ARGV: high, how many. The last keys first, and how many there are in all.
LAST = """
local version = redis.call('GET', KEYS[1]) or '0'
local keys = redis.call('ZREVRANGEBYLEX', KEYS[3], ARGV[1], '-', 'LIMIT', 0, ARGV[2])
local values = {}
if #keys > 0 then values = redis.call('HMGET', KEYS[2], unpack(keys)) end
return {version, keys, values, redis.call('HLEN', KEYS[2])}
"""
