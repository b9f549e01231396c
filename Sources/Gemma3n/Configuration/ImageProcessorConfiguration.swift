public import Checkpoint

/// How pictures are prepared: `preprocessor_config.json`, or the key `image_processor` of a newer `processor_config.json`
/// (which the reference prefers when both files exist).
public struct ImageProcessorConfiguration: Sendable, Equatable {
    public var doResize = true
    /// Size after resizing, in pixels.
    public var height = 768
    public var width = 768
    public var resample = ResampleFilter.bilinear
    public var doRescale = true
    public var rescaleFactor = 1.0 / 255
    public var doNormalize = false
    /// Used only if `doNormalize`: one value for each of red, green, blue.
    public var imageMean = [0.5, 0.5, 0.5]
    public var imageStd = [0.5, 0.5, 0.5]

    /// The values of the released files.
    public init() {}

    /// The settings a checkpoint has, if any.
    package init(settings: (json: JSONValue, file: String)?) throws(CheckpointError) {
        if let settings { try self.init(settings.json, file: settings.file) } else { self.init() }
    }

    /// Parses the object that holds `size`, `resample` and the other keys. Missing keys have the defaults of the class the
    /// released files name (224 pixels, bicubic, normalised), not those of `init()`.
    ///
    /// Pictures here are always RGB, so `do_convert_rgb` has nothing to say. Which library the file names
    /// (`image_processor_type`) does not matter either: the reference no longer looks at it.
    ///
    /// - Throws: `wrongType`, `unsupportedValue` with the key's name.
    public init(_ json: JSONValue, file: String = "preprocessor_config.json") throws(CheckpointError) {
        let keys = ConfigurationKeys(json, file: file)
        func refuse(_ message: String) -> CheckpointError { CheckpointError(.unsupportedValue, file: file, message) }

        doResize = try keys.bool("do_resize", default: true)
        (height, width) = try Self.size(json["size"], file: file)
        let filter = try keys.integer("resample", default: ResampleFilter.bicubic.rawValue, in: 0...1000)
        guard let resample = ResampleFilter(rawValue: filter) else {
            throw refuse("resample is \(filter); this version knows 0 (nearest), 1 (Lanczos), 2 (bilinear) and 3 (bicubic).")
        }
        self.resample = resample
        doRescale = try keys.bool("do_rescale", default: true)
        rescaleFactor = try keys.double("rescale_factor", default: 1.0 / 255)
        doNormalize = try keys.bool("do_normalize", default: true)
        imageMean = try keys.doubles("image_mean", count: 3) ?? [0.5, 0.5, 0.5]
        imageStd = try keys.doubles("image_std", count: 3) ?? [0.5, 0.5, 0.5]
        if doRescale, !(rescaleFactor > 0 && rescaleFactor.isFinite) {
            throw refuse("rescale_factor is \(rescaleFactor), expected a positive number (1/255 maps 8-bit levels to 0 ... 1).")
        }
        if doNormalize, imageStd.contains(0) {
            throw refuse("image_std holds a 0, by which pixels would be divided.")
        }
        for key in ["do_center_crop", "do_pad"] where try keys.bool(key, default: false) {
            throw refuse("\(key) is true; no Gemma 3n processor does that, and this version cannot.")
        }
    }

    /// `{"height": h, "width": w}`; the reference's other ways to give a size depend on the picture and make no square.
    private static func size(_ json: JSONValue?, file: String) throws(CheckpointError) -> (Int, Int) {
        guard let json, !json.isNull else { return (224, 224) }
        let limit = 8192
        guard json.object != nil, let height = json["height"]?.int, let width = json["width"]?.int else {
            throw CheckpointError(
                .unsupportedValue, file: file,
                "size is not of the form {\"height\": 768, \"width\": 768}; this version resizes to a fixed height and width only.")
        }
        guard height >= 1, height <= limit, width >= 1, width <= limit else {
            throw CheckpointError(
                .unsupportedValue, file: file, "size is \(width) x \(height) pixels, expected 1 to \(limit) for each side.")
        }
        return (height, width)
    }
}
