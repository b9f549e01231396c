internal import Checkpoint
internal import Logging

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Musl)
internal import Musl
#else
internal import Glibc
#endif

/// One JSON object a line on standard error, or `time level message key=value …`.
struct LineLogHandler: LogHandler {
    let format: ServerSettings.LogFormat
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let line: String
        switch format {
        case .json:
            let members: [(String, String)] =
                [("time", TimeStamp.now.text), ("level", event.level.rawValue), ("message", "\(event.message)")] + all.map { ($0.key, "\($0.value)") }
            line = JSONValue.object(JSONObject(members.map { .init(key: $0.0, value: .string($0.1)) })).serialized()
        case .text:
            line = ([TimeStamp.now.text, event.level.rawValue, "\(event.message)"] + all.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
        }
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
}

/// A moment in UTC.
struct TimeStamp: Sendable {
    /// Since 1970.
    let seconds: Int
    let nanoseconds: Int

    static var now: TimeStamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return TimeStamp(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }

    /// `2026-11-21T15:04:05.123Z`
    var text: String {
        var parts = tm()
        var seconds = time_t(seconds)
        gmtime_r(&seconds, &parts)
        func padded(_ value: Int, _ width: Int) -> String {
            let digits = "\(value)"
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(padded(Int(parts.tm_year) + 1900, 4))-\(padded(Int(parts.tm_mon) + 1, 2))-\(padded(Int(parts.tm_mday), 2))"
        let time = "\(padded(Int(parts.tm_hour), 2)):\(padded(Int(parts.tm_min), 2)):\(padded(Int(parts.tm_sec), 2))"
        return "\(date)T\(time).\(padded(nanoseconds / 1_000_000, 3))Z"
    }
}
