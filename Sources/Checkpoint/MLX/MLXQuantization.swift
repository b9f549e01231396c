internal import Tensors

/// `quantization` of an MLX checkpoint's `config.json`: how many columns share a scale and how many bits a number has, and the
/// exceptions by module.
struct MLXQuantization {
    private let json: JSONValue

    init(_ json: JSONValue) { self.json = json }

    /// What holds for the module at `path`, as the file calls it.
    ///
    /// - Throws: `unsupportedValue` for anything but affine groups of 32, 64 or 128 with 4 or 8 bits.
    func choice(_ path: String) throws(CheckpointError) -> (format: ElementFormat, group: Int) {
        let exception = json[path].flatMap { $0.object == nil ? nil : $0 }
        let place = exception == nil ? "quantization" : "quantization of '\(path)'"
        func value(_ key: String) -> JSONValue? { exception?[key] ?? json[key] }
        func refusal(_ key: String, _ expected: String) -> CheckpointError {
            let found = value(key).map { "is \($0.object == nil ? $0.serialized() : $0.kind)" } ?? "is missing"
            return CheckpointError(
                .unsupportedValue, file: "config.json",
                "\(key) in \(place) \(found); this version reads \(expected). Quantise with MLX's mode affine, 4 or 8 bits and groups of 32, 64 or 128.")
        }
        if let mode = value("mode"), mode.string != "affine" { throw refusal("mode", "\"affine\"") }
        let format: ElementFormat
        switch value("bits")?.int {
        case 4: format = .affine4
        case 8: format = .affine8
        default: throw refusal("bits", "4 and 8")
        }
        guard let group = value("group_size")?.int, group == 32 || group == 64 || group == 128 else { throw refusal("group_size", "32, 64 and 128") }
        return (format, group)
    }
}
