// How far a transfer has come, in words, and how often to show it.

/// How far a transfer has come.
public struct TransferProgress: Equatable, Sendable, CustomStringConvertible {
    /// The bytes that have arrived.
    public var bytes: UInt64
    /// The bytes that there will be; `nil` if the server did not say.
    public var total: UInt64?
    /// Recent bytes per second; `nil` while it is unknown.
    public var rate: Double?

    /// Creates a progress.
    public init(bytes: UInt64, total: UInt64?, rate: Double? = nil) {
        self.bytes = bytes
        self.total = total
        self.rate = rate
    }

    /// The percentage from 0 to 100, rounded down; `nil` if the total is unknown.
    public var percent: Int? {
        total.map { $0 == 0 ? 100 : Int(Double(min(bytes, $0)) / Double($0) * 100) }
    }

    /// The seconds until the rest has arrived at the recent rate; `nil` while that is unknown.
    public var secondsLeft: Double? {
        guard let total, let rate, rate > 0 else { return nil }
        return Double(total > bytes ? total - bytes : 0) / rate
    }

    /// The progress as `49.1 of 94.4 MiB  52 %  28 MiB/s  2 s left`; what is unknown is left out.
    public var description: String {
        var fields: [String] = []
        if let total {
            let unit = ByteUnit(fitting: total)
            fields.append("\(oneDecimal(unit.count(bytes))) of \(oneDecimal(unit.count(total))) \(unit.name)")
        } else {
            fields.append("\(ByteCount(bytes))")
        }
        if let percent { fields.append("\(percent) %") }
        if let rate { fields.append("\(ByteCount(Int(nearest: rate)))/s") }
        if let secondsLeft, bytes < total ?? 0 { fields.append("\(Self.words(seconds: secondsLeft)) left") }
        return fields.joined(separator: "  ")
    }

    /// A duration as `2 s`, `3 min` or `1 h 55 min`, at least a second.
    private static func words(seconds: Double) -> String {
        guard seconds < 100 * 3600 else { return "days" }
        let whole = max(1, Int(nearest: seconds))
        if whole < 100 { return "\(whole) s" }
        let minutes = (whole + 30) / 60
        return minutes < 100 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
    }
}

/// A binary unit and its size in bytes.
private struct ByteUnit {
    var name: String
    var size: Double

    /// The largest unit that is not larger than `bytes`.
    init(fitting bytes: UInt64) {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var exponent = 0
        while exponent + 1 < units.count, bytes >> UInt64(10 * (exponent + 1)) > 0 { exponent += 1 }
        name = units[exponent]
        size = Double(UInt64(1) << UInt64(10 * exponent))
    }

    func count(_ bytes: UInt64) -> Double { Double(bytes) / size }
}

/// Computes the recent rate of a transfer from samples.
///
/// It covers the last 3 seconds, so that a stall shows soon and a burst has little effect.
public struct RateMeter: Sendable {
    private var samples: [(seconds: Double, bytes: UInt64)] = []

    /// The seconds that the rate covers.
    public static let window = 3.0
    private static let spacing = 0.25

    /// Creates a meter without samples.
    public init() {}

    /// Adds a sample; returns bytes per second, or `nil` while the samples span less than a quarter of a second.
    ///
    /// The seconds are of a monotonic clock.
    public mutating func rate(at seconds: Double, bytes: UInt64) -> Double? {
        if let last = samples.last, bytes < last.bytes { samples = [] }
        if samples.last.map({ seconds - $0.seconds >= Self.spacing }) ?? true { samples.append((seconds, bytes)) }
        while samples.count > 2, seconds - samples[1].seconds >= Self.window { samples.removeFirst() }
        guard let first = samples.first, seconds - first.seconds >= Self.spacing else { return nil }
        return Double(bytes - first.bytes) / (seconds - first.seconds)
    }
}

/// Decides when progress is shown, by the kind of console.
public struct ProgressPace: Sendable {
    /// What becomes of the lines that are shown.
    public enum Console: Equatable, Sendable {
        /// The line is redrawn a few times a second.
        case terminal
        /// Every line stays: the first comes after 5 seconds, then one per 10 % or every 30 seconds; every 10 seconds
        /// if the length is unknown.
        case log
    }

    /// The kind of console.
    public let console: Console
    private var lastSeconds: Double?
    private var hasShown = false
    private var lastTenth = 0
    private var lastBytes: UInt64 = 0

    /// Creates the pace for a kind of console.
    public init(console: Console) { self.console = console }

    /// Whether to show this progress now.
    ///
    /// The end is not shown, because the line that follows reports it. The seconds are of a monotonic clock.
    public mutating func shows(_ progress: TransferProgress, at seconds: Double) -> Bool {
        if progress.bytes < lastBytes { lastTenth = 0 }
        lastBytes = progress.bytes
        guard progress.bytes > 0, progress.bytes < progress.total ?? .max else { return false }
        switch (console, progress.percent) {
        case (.terminal, _):
            if let lastSeconds, seconds - lastSeconds < 0.2 { return false }
        case (.log, let percent):
            let tenth = (percent ?? 0) / 10
            let patience = !hasShown ? 5.0 : percent == nil ? 10 : 30
            let last = lastSeconds ?? seconds
            lastSeconds = last
            guard tenth > lastTenth || seconds - last >= patience else { return false }
            lastTenth = tenth
            hasShown = true
        }
        lastSeconds = seconds
        return true
    }
}
