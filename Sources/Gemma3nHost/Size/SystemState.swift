#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#elseif canImport(Darwin)
internal import Darwin
#endif

/// What the machine says of itself; nil is what it does not say.
public struct SystemState: Sendable, Hashable {
    public struct Battery: Sendable, Hashable {
        /// 0 to 1.
        public var charge: Double
        public var isDischarging: Bool

        public init(charge: Double, isDischarging: Bool) {
            self.charge = charge
            self.isDischarging = isDischarging
        }
    }

    public enum Heat: Sendable, Hashable {
        case normal
        /// The system slows its processors down, or is about to.
        case high
        /// The system is about to switch itself off.
        case critical
    }

    /// Bytes that mapped weights can have in memory, those that are there already included.
    public var memoryAtHand: Int?
    public var battery: Battery?
    public var heat: Heat?

    public init(memoryAtHand: Int? = nil, battery: Battery? = nil, heat: Heat? = nil) {
        self.memoryAtHand = memoryAtHand
        self.battery = battery
        self.heat = heat
    }

    /// Now. Takes less than a millisecond on most systems.
    public static var current: SystemState {
        #if os(Linux)
        SystemState(readFile: readSmallFile, names: names, controlGroup: MemoryLimit.controlGroup)
        #else
        SystemState()
        #endif
    }

    #if os(Linux)
    /// Linux: `/proc/meminfo` and the control group's limit less what the process holds itself, `/sys/class/power_supply`,
    /// `/sys/class/thermal`.
    package init(readFile: (String) -> String?, names: (String) -> [String], controlGroup: Int?) {
        self.init()
        func kilobytes(_ key: String, _ path: String) -> Int? {
            for line in (readFile(path) ?? "").split(separator: "\n") where line.hasPrefix(key + ":") {
                return line.dropFirst(key.utf8.count + 1).split(whereSeparator: { $0 == " " || $0 == "\t" }).first.flatMap { Int($0) }
            }
            return nil
        }
        // The system's figure counts mapped pages of files as available.
        memoryAtHand = kilobytes("MemAvailable", "/proc/meminfo").map { $0 << 10 }
        if let controlGroup {
            let own = (kilobytes("RssAnon", "/proc/self/status") ?? 0) << 10
            memoryAtHand = min(memoryAtHand ?? .max, max(0, controlGroup - own))
        }

        func word(_ path: String) -> String? { readFile(path).flatMap { $0.split(whereSeparator: \.isWhitespace).first.map(String.init) } }
        let supplies = "/sys/class/power_supply"
        for name in names(supplies) where word("\(supplies)/\(name)/type") == "Battery" && word("\(supplies)/\(name)/scope") != "Device" {
            guard let capacity = word("\(supplies)/\(name)/capacity").flatMap({ Int($0) }) else { continue }
            let charge = Double(min(100, max(0, capacity))) / 100
            let found = Battery(charge: charge, isDischarging: word("\(supplies)/\(name)/status") == "Discharging")
            // Of several the one that lasts longest.
            if battery.map({ $0.charge < found.charge }) ?? true { battery = found }
        }

        let thermal = "/sys/class/thermal"
        for name in names(thermal) where name.hasPrefix("thermal_zone") {
            guard let degrees = word("\(thermal)/\(name)/temp").flatMap({ Int($0) }) else { continue }
            if heat == nil { heat = .normal }
            for point in 0..<8 {
                guard let kind = word("\(thermal)/\(name)/trip_point_\(point)_type") else { break }
                guard let limit = word("\(thermal)/\(name)/trip_point_\(point)_temp").flatMap({ Int($0) }), limit > 0, degrees >= limit else { continue }
                if kind == "hot" || kind == "critical" { heat = .critical } else if kind == "passive", heat != .critical { heat = .high }
            }
        }
    }

    /// The names in a directory, sorted; none if it cannot be listed.
    private static func names(_ path: String) -> [String] {
        guard let listing = opendir(path) else { return [] }
        defer { closedir(listing) }
        var names: [String] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }
    #endif
}
