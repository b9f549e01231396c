internal import Gemma3n

/// The parts of a model that an automatic choice chooses among, the smallest first.
///
/// Of Gemma 3n E4B the published slices that no smaller one beats, and the whole. A released E2B is the smallest part that was
/// trained and has only itself. Of other models nobody knows how they were nested: half, in steps of an eighth.
enum SizeLadder {
    static func candidates(_ model: TextModel) -> [SizeCandidate] {
        let c = model.whole.configuration
        var slices: [ModelSlice] = []
        var best = 0.0
        for known in PublishedSlice.all where known.mmlu > best {
            guard let slice = known.slice(of: c) else { continue }
            best = known.mmlu
            slices.append(slice)
        }
        let isReleasedE2B = c.numHiddenLayers == 30 && c.firstSharedLayer == 20
        if slices.isEmpty, !isReleasedE2B {
            let grain = model.widthGrain
            slices = (4..<8).map { eighths in
                ModelSlice(widths: c.intermediateSize.map { max(min(grain, $0), $0 * eighths / 8 / grain * grain) })
            }
        }
        slices.append(ModelSlice(wholeOf: c))
        var seen: Set<ModelSlice> = []
        return slices.compactMap { slice in
            guard seen.insert(slice).inserted, let part = try? model.whole.sliced(slice) else { return nil }
            return candidate(part)
        }.sorted { $0.bytesPerToken < $1.bytesPerToken }
    }

    static func candidate(_ part: TextModel) -> SizeCandidate {
        SizeCandidate(
            name: part.slice.name(in: part.whole.configuration), slice: part.slice,
            effectiveParameters: part.configuration.effectiveParameterCount, bytesPerToken: Int(TextWork(part).bytesPerToken),
            mappedBytes: part.mappedByteCount)
    }
}
