// Which mirror comes next, and how long to wait for it. No I/O.

/// The mirrors of one root image and their results so far.
struct RootImageMirrors {
    /// What to do after an attempt that failed for a reason that may pass.
    struct Next: Equatable {
        /// The index of the mirror to use.
        var mirror: Int
        /// The failures that count for the delay, 1 or more.
        var failures: Int
        /// Whether the reason differs from the one that was shown last.
        var isNewReason: Bool
    }

    /// How many attempts at one mirror may bring no byte before the next mirror is used, if changing means to start
    /// over.
    static let patience = 3

    let count: Int
    /// Whether any mirror can continue what is present, because every chunk is verified.
    let areInterchangeable: Bool
    private(set) var current = 0
    /// The number of the current attempt, from 1.
    private(set) var attempt = 1
    private var refusals: [Int: RootImageError] = [:]
    private var failures = 0
    private var failuresHere = 0
    private var lastReason = ""
    private var isSaid = false

    init(count: Int, areInterchangeable: Bool) {
        self.count = count
        self.areInterchangeable = areInterchangeable
    }

    /// Why each mirror is excluded, once all are; `nil` before.
    var refusal: RootImageError? {
        guard refusals.count == count else { return nil }
        let errors = (0..<count).compactMap { refusals[$0] }
        return errors.count == 1 ? errors.first : .everyMirror(errors)
    }

    /// Records that the current mirror failed in a way that may pass.
    ///
    /// - Parameters:
    ///   - reason: Why it failed.
    ///   - progressed: Whether bytes arrived in this attempt.
    ///   - holdsBytes: Whether bytes are present that could be lost by changing the mirror.
    /// - Returns: What to do next.
    mutating func failed(reason: String, progressed: Bool, holdsBytes: Bool) -> Next {
        if progressed {
            failures = 0
            failuresHere = 0
        }
        failures += 1
        failuresHere += 1
        attempt += 1
        // Repeated failures for the same reason are counted by the wait that is shown.
        let isNewReason = reason != lastReason || progressed || !isSaid
        lastReason = reason
        isSaid = true
        if areInterchangeable || !holdsBytes || failuresHere >= Self.patience { advance() }
        let mirrorsLeft = max(1, count - refusals.count)
        return Next(
            mirror: current, failures: (failures + mirrorsLeft - 1) / mirrorsLeft,
            isNewReason: isNewReason)
    }

    /// Excludes the current mirror; returns whether there is another.
    mutating func refuse(_ error: RootImageError) -> Bool {
        refusals[current] = error
        attempt += 1
        guard refusals.count < count else { return false }
        advance()
        return true
    }

    private mutating func advance() {
        let before = current
        repeat { current = (current + 1) % count } while refusals[current] != nil && current != before
        if current != before { failuresHere = 0 }
    }
}
