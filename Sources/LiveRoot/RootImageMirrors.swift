// Which mirror comes next, and how long to wait for it. No I/O.

/// The mirrors of one root image and how they have done so far.
struct RootImageMirrors {
    /// What to do after an attempt that failed for now.
    struct Next: Equatable {
        /// Where to go, from 0.
        var mirror: Int
        /// Failures to count for the delay, 1 or more.
        var failures: Int
        /// Whether people have not read the same just now.
        var isNewReason: Bool
    }

    /// Attempts at one mirror without a single byte before the next gets its turn, where changing
    /// mirrors means to start over.
    static let patience = 3

    let count: Int
    /// Whether what is here can be continued from any mirror, since every chunk is verified.
    let areInterchangeable: Bool
    private(set) var current = 0
    /// The attempt under way, from 1.
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

    /// Why each mirror is out of the question, once all of them are.
    var refusal: RootImageError? {
        guard refusals.count == count else { return nil }
        let errors = (0..<count).compactMap { refusals[$0] }
        return errors.count == 1 ? errors.first : .everyMirror(errors)
    }

    /// The current mirror failed in a way that may pass.
    ///
    /// - Parameters:
    ///   - progressed: Bytes arrived in this attempt.
    ///   - holdsBytes: Something is here that changing mirrors could lose.
    mutating func failed(reason: String, progressed: Bool, holdsBytes: Bool) -> Next {
        if progressed {
            failures = 0
            failuresHere = 0
        }
        failures += 1
        failuresHere += 1
        attempt += 1
        // How often the same goes on is told by what is waited for.
        let isNewReason = reason != lastReason || progressed || !isSaid
        lastReason = reason
        isSaid = true
        if areInterchangeable || !holdsBytes || failuresHere >= Self.patience { advance() }
        let mirrorsLeft = max(1, count - refusals.count)
        return Next(
            mirror: current, failures: (failures + mirrorsLeft - 1) / mirrorsLeft,
            isNewReason: isNewReason)
    }

    /// The current mirror is out of the question; whether there is another.
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
