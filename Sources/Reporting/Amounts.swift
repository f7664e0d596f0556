// Amounts with units, as shown on an 80-column console.

/// A number of bytes, described with at most one decimal and a binary unit: `94.4 MiB`, `512 B`, `4 GiB`.
public struct ByteCount: CustomStringConvertible, Equatable, Comparable, Sendable {
    /// The number of bytes.
    public var bytes: UInt64

    /// Creates a count; a number outside 64 unsigned bits is clamped.
    public init(_ bytes: some BinaryInteger) { self.bytes = UInt64(clamping: bytes) }

    /// The number and its unit.
    public var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var unit = 0
        var scale: UInt64 = 1
        while unit + 1 < units.count, bytes / scale >= 1024 {
            scale *= 1024
            unit += 1
        }
        return "\(oneDecimal(Double(bytes) / Double(scale))) \(units[unit])"
    }

    /// Whether one count is smaller than the other.
    public static func < (one: ByteCount, other: ByteCount) -> Bool { one.bytes < other.bytes }
}

/// A number with one decimal, or with none if that is zero: `94.4`, `4`.
public func oneDecimal(_ value: Double) -> String {
    let tenths = Int(nearest: value * 10)
    let sign = tenths < 0 ? "-" : ""
    let whole = tenths.magnitude / 10
    let rest = tenths.magnitude % 10
    return rest == 0 ? "\(sign)\(whole)" : "\(sign)\(whole).\(rest)"
}

extension Int {
    /// The whole number nearest to any amount; numbers out of range become the largest or the least, NaN becomes 0.
    public init(nearest amount: Double) {
        self = amount.isNaN ? 0 : Int(exactly: amount.rounded()) ?? (amount < 0 ? .min : .max)
    }
}

/// A count and its noun: `1 file`, `3 files`.
public func counted(_ count: Int, _ noun: String, plural: String? = nil) -> String {
    "\(count) \(count == 1 ? noun : plural ?? noun + "s")"
}
