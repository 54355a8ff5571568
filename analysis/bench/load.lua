-- Requests for one key after the other, over a number of keys.
--   wrk ... -s load.lua URL -- METHOD PATH_PREFIX FIRST KEYS VALUE_BYTES
-- The totals are printed as one line.

local head, tail, first, keys
local sent = 0

function init(arguments)
  local method, prefix = arguments[1], arguments[2]
  first, keys = tonumber(arguments[3]), tonumber(arguments[4])
  local body
  if method ~= "GET" then
    body = '{"value":"' .. string.rep("x", tonumber(arguments[5])) .. '"}'
    wrk.headers["Content-Type"] = "application/json"
  end
  local request = wrk.format(method, prefix .. "@", nil, body)
  local at = request:find("@", 1, true)
  head, tail = request:sub(1, at - 1), request:sub(at + 1)
end

function request()
  local key = first + sent % keys
  sent = sent + 1
  return head .. key .. tail
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'totals {"answers":%d,"duration_us":%d,"refused":%d,"broken":%d,'
      .. '"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
