internal import CKernels
internal import Checkpoint
internal import Tensors

/// The gated feed-forward block with its statistical sparsity.
///
///     g = W_gate x
///     g = max(0, g - (mean(g) + std(g) * q(sparsity)))     where sparsity > 0
///     y = W_down (gelu(g) * (W_up x))
///
/// In a sparse layer only the units above the cutoff, some 5 %, are multiplied if the weights' layout allows it: single rows of `up`
/// and, where `down` lies in `units`, its columns.
///
/// - Source: `Gemma3nTextMLP` in transformers 5.23.0; Spark Transformer's statistical top-k, arXiv:2506.06644.
struct TextMLP {
    let gate: Matrix  // [F, D]
    let up: Matrix  // [F, D]
    let down: Matrix  // [D, F]
    /// The standard normal quantile of the sparsity; nil without a cutoff.
    let standardDeviations: Float?

    init(_ scope: WeightScope, _ c: TextConfiguration, layer: Int, _ prepare: WeightPreparation) throws(CheckpointError) {
        let (f, d) = (c.intermediateSize[layer], c.hiddenSize)
        let reason = "intermediate_size \(f), hidden_size \(d)"
        let sparsity = c.activationSparsityPattern[layer]
        standardDeviations = sparsity > 0 ? Float(normalQuantile(sparsity)) : nil
        gate = prepare(try scope["gate_proj"].matrix(rows: f, columns: d, reason: reason), .panels)
        up = prepare(try scope["up_proj"].matrix(rows: f, columns: d, reason: reason), sparsity > 0 ? .rows : .panels)
        down = prepare(try scope["down_proj"].matrix(rows: d, columns: f, reason: reason, allowsUnits: sparsity > 0), sparsity > 0 ? .units : .panels)
        if down.layout == .units, up.layout != .rows {
            throw CheckpointError(
                .unsupportedFormat,
                "'\(scope.path).up_proj.weight' lies in panels beside a down_proj in units, expected rows. Convert the checkpoint again.")
        }
    }

    private init(gate: Matrix, up: Matrix, down: Matrix, standardDeviations: Float?) {
        (self.gate, self.up, self.down, self.standardDeviations) = (gate, up, down, standardDeviations)
    }

    /// The block of the first `width` units, sharing the bytes; its cutoff is computed over those units alone.
    ///
    /// - Throws: `uncuttable`.
    func sliced(_ width: Int, layer: Int) throws(SliceError) -> TextMLP {
        if width == self.width { return self }
        guard down.canBeCut(atColumn: width) else {
            throw SliceError(
                .uncuttable,
                "Layer \(layer) cannot be \(width) wide: its down_proj is stored in \(down.format.name), which can be cut at multiples of \(down.format.blockLength) only.")
        }
        return TextMLP(
            gate: gate.rows(0..<width), up: up.rows(0..<width), down: down.columns(0..<width), standardDeviations: standardDeviations)
    }

    var width: Int { gate.rows }

    /// Whether removed units of `down` are left out of the sum; then those of `up` are, too.
    var skipsUnits: Bool { down.layout == .units }

    /// - Parameters:
    ///   - x: `[T, D]`.
    ///   - gated, upped: Scratch, `[T, F]` each.
    ///   - survivors: Scratch, `[T, F]`.
    ///   - hidden: The input of `down`.
    ///   - y: `[T, D]`.
    ///   - next: The matrix that is multiplied next.
    /// - Returns: Bytes of weights that were read.
    func callAsFunction(
        _ x: LinearInput, gated: UnsafeMutablePointer<Float>, upped: UnsafeMutablePointer<Float>, survivors: Survivors,
        hidden: LinearInput, into y: UnsafeMutablePointer<Float>, next: Matrix, _ parallelism: Parallelism
    ) -> Int {
        let (f, tokens) = (width, x.tokens)
        if let standardDeviations {
            // What comes right after the gate is known only then.
            if tokens == 1 { expectTogether(parallelism, next) }
            gate.multiply(x, into: gated, parallelism)
            if skipsUnits || (tokens == 1 && up.layout == .rows) {
                return gate.byteCount
                    + sparse(x, gated: gated, upped: upped, survivors: survivors, standardDeviations, hidden: hidden, into: y, parallelism)
            }
            up.multiply(x, into: upped, parallelism)
            parallelism.forEach(tokens) { t in
                let g = gated + t * f
                ck_gelu_cutoff_multiply_f32(g, cutoff(g, standardDeviations), upped + t * f, g, f)
            }
        } else {
            if tokens == 1 { expectTogether(parallelism, down) }
            multiplyTogether(parallelism, LinearProduct(gate, x, into: gated), LinearProduct(up, x, into: upped))
            // A smaller piece takes no longer than handing it to another thread.
            let piece = 1 << 14
            let pieces = (f + piece - 1) / piece
            parallelism.forEach(tokens * pieces) { task in
                let at = task / pieces * f + task % pieces * piece
                ck_gelu_multiply_f32(gated + at, upped + at, gated + at, min(piece, f - task % pieces * piece))
            }
        }
        hidden.set(gated, tokens: tokens, columns: f)
        if tokens == 1 { expectTogether(parallelism, next) }
        down.multiply(hidden, into: y, parallelism)
        return gate.byteCount + up.byteCount + down.byteCount
    }

    /// Says that this block comes after the next parallel region.
    func expect(_ parallelism: Parallelism) {
        if standardDeviations == nil { expectTogether(parallelism, gate, up) } else { expectTogether(parallelism, gate) }
    }

    /// `mean + std * q` over all units of one token; the standard deviation divides by n.
    private func cutoff(_ g: UnsafePointer<Float>, _ standardDeviations: Float) -> Float {
        let n = Float(width)
        let mean = ck_sum_f32(g, width) / n
        let variance = ck_sum_squared_deviations_f32(g, mean, width) / n
        return mean + variance.squareRoot() * standardDeviations
    }

    /// The rest of a sparse layer after the gate: reads only what belongs to units above the cutoff.
    ///
    /// - Returns: Bytes of weights that were read; of many tokens no more than all there are.
    private func sparse(
        _ x: LinearInput, gated: UnsafeMutablePointer<Float>, upped: UnsafeMutablePointer<Float>, survivors: Survivors,
        _ standardDeviations: Float, hidden: LinearInput, into y: UnsafeMutablePointer<Float>, _ parallelism: Parallelism
    ) -> Int {
        let (f, tokens) = (width, x.tokens)
        if up.format.isQuantized { x.quantize(parallelism) }
        parallelism.forEach(tokens) { t in survivors.find(in: gated + t * f, count: f, above: cutoff(gated + t * f, standardDeviations), token: t) }

        // Their rows of `up`, and gelu(g) * up, side by side in `upped`. One token: pieces of its list; many: blocks of rows that
        // stay in the cache while all tokens pass.
        func finish(_ t: Int, _ list: Range<Int>) {
            let (units, values) = (survivors.units(t) + list.lowerBound, survivors.values(t) + list.lowerBound)
            let out = upped + t * f + list.lowerBound
            up.multiplyRows(units, count: list.count, x, token: t, into: out)
            ck_gelu_cutoff_multiply_f32(values, survivors.cutoff(t), out, out, list.count)
        }
        if tokens == 1 {
            parallelism.forEachRange(survivors.count(0), by: 32) { finish(0, $0) }
        } else {
            parallelism.forEachRange(f, by: 512) { rows in
                for t in 0..<tokens {
                    let list = survivors.list(t, in: rows)
                    if !list.isEmpty { finish(t, list) }
                }
            }
        }

        if skipsUnits {
            let outputs = tokens == 1 ? max(Matrix.unitOutputs, down.rows / (4 * parallelism.threadCount) / 128 * 128) : Matrix.unitOutputs
            parallelism.forEachRange(down.rows, by: outputs) { range in
                for t in 0..<tokens {
                    down.sumUnits(
                        survivors.units(t), upped + t * f, count: survivors.count(t), outputs: range,
                        into: y + t * down.rows + range.lowerBound)
                }
            }
        } else {
            // One token: the other units are exactly zero, as they are in the dense path.
            gated.update(repeating: 0, count: f)
            for i in 0..<survivors.count(0) { gated[Int(survivors.units(0)[i])] = upped[i] }
            hidden.set(gated, tokens: 1, columns: f)
            down.multiply(hidden, into: y, parallelism)
        }
        let survived = min(f, (0..<tokens).reduce(0) { $0 + survivors.count($1) })
        return survived * up.byteCount(ofColumns: up.columns) + (skipsUnits ? down.byteCount(ofUnits: survived) : down.byteCount)
    }
}

/// The units of each token whose gate is above the cutoff, ascending.
final class Survivors {
    private let capacity: Int
    private let width: Int
    private let counts: UnsafeMutablePointer<Int>
    private let cutoffs: FloatBuffer
    private let unitBuffer: UnsafeMutablePointer<Int32>
    private let valueBuffer: FloatBuffer

    /// Room for `capacity` tokens of `width` units.
    init(capacity: Int, width: Int) {
        self.capacity = capacity
        self.width = width
        counts = .allocate(capacity: max(1, capacity))
        counts.initialize(repeating: 0, count: max(1, capacity))
        cutoffs = FloatBuffer(count: capacity)
        unitBuffer = .allocate(capacity: max(1, capacity * width))
        valueBuffer = FloatBuffer(count: capacity * width)
    }

    deinit {
        counts.deallocate()
        unitBuffer.deallocate()
    }

    func count(_ token: Int) -> Int { counts[token] }
    func cutoff(_ token: Int) -> Float { cutoffs.pointer[token] }
    func units(_ token: Int) -> UnsafeMutablePointer<Int32> { unitBuffer + token * width }
    /// Their gates.
    func values(_ token: Int) -> UnsafeMutablePointer<Float> { valueBuffer.pointer + token * width }

    func find(in g: UnsafePointer<Float>, count: Int, above cutoff: Float, token: Int) {
        cutoffs.pointer[token] = cutoff
        counts[token] = ck_compact_above_f32(g, cutoff, count, units(token), values(token))
    }

    /// The places in the token's list of units in `rows`.
    func list(_ token: Int, in rows: Range<Int>) -> Range<Int> {
        let from = first(token, notBelow: rows.lowerBound)
        return from..<max(from, first(token, notBelow: rows.upperBound))
    }

    private func first(_ token: Int, notBelow row: Int) -> Int {
        let units = units(token)
        var (low, high) = (0, counts[token])
        while low < high {
            let middle = (low + high) / 2
            if Int(units[middle]) < row { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// The quantile of the standard normal distribution: `x` with `P(X <= x) = p`, `0 < p < 1`.
///
/// - Source: Wichura's AS 241 (PPND16), accurate to about 1e-16.
package func normalQuantile(_ p: Double) -> Double {
    func ratio(_ r: Double, _ a: [Double], _ b: [Double]) -> Double {
        var (numerator, denominator) = (0.0, 0.0)
        for k in stride(from: a.count - 1, through: 0, by: -1) { numerator = numerator * r + a[k] }
        for k in stride(from: b.count - 1, through: 0, by: -1) { denominator = denominator * r + b[k] }
        return numerator / denominator
    }
    let q = p - 0.5
    if abs(q) <= 0.425 {
        return q
            * ratio(
                0.180625 - q * q,
                [
                    3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
                    45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
                ],
                [
                    1, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077, 21213.794301586595867,
                    39307.895800092710610, 28729.085735721942674, 5226.4952788528545610,
                ])
    }
    var r = ck_sqrt(-ck_log(q < 0 ? p : 1 - p))
    let x: Double
    if r <= 5 {
        r -= 1.6
        x = ratio(
            r,
            [
                1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
                1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4,
            ],
            [
                1, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550, 0.148103976427480074590,
                0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
            ])
    } else {
        r -= 5
        x = ratio(
            r,
            [
                6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
                0.0265321895265761230930, 0.00124266094738807843860, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
            ],
            [
                1, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525, 7.86869131145613259100e-4,
                1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
            ])
    }
    return q < 0 ? -x : x
}
