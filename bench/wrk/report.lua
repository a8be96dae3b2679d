-- What wrk found, as one line of JSON. PACE: the mean pause in milliseconds before each request of a connection.

local pace = tonumber(os.getenv("PACE") or "0")
if pace > 0 then
  function delay() return math.random(0, 2 * pace) end
end

-- COLORS: counts the answers of each color of a proxy of envctl. It costs wrk time, so it is asked for.
local threads = {}
if os.getenv("COLORS") then
  blue, green, other = 0, 0, 0
  function setup(thread) table.insert(threads, thread) end
  function response(status, headers)
    local color = headers["x-envctl-color"] or headers["X-Envctl-Color"]
    if status ~= 200 then other = other + 1
    elseif color == "blue" then blue = blue + 1
    elseif color == "green" then green = green + 1
    else other = other + 1 end
  end
end

function done(summary, latency)
  local b, g, o = 0, 0, 0
  for _, thread in ipairs(threads) do
    b, g, o = b + thread:get("blue"), g + thread:get("green"), o + thread:get("other")
  end
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"max":%.3f,"connect":%d,"read":%d,"write":%d,' ..
      '"status":%d,"timeout":%d,"blue":%d,"green":%d,"other":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, e.connect, e.read, e.write, e.status, e.timeout, b, g, o))
end
