// "Did you mean": the known word that is nearest to a mistyped one.

/// The member of `known` that is nearest to `word`, if it is near enough to be a typing mistake.
///
/// That is at most two edits (insertion, deletion, change, swap of neighbours), and fewer than half of the word.
public func nearest(to word: String, in known: some Sequence<String>) -> String? {
    // A difference in length takes at least as many edits.
    let near = known.filter { abs($0.utf8.count - word.utf8.count) <= 2 }
    let best = near.map { (name: $0, distance: editDistance(word, $0)) }
        .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
    guard let best, best.distance <= 2, best.distance * 2 < max(word.count, 3) else { return nil }
    return best.name
}

/// The number of single-byte edits and neighbour swaps between two words (optimal string alignment).
func editDistance(_ one: String, _ other: String) -> Int {
    let a = Array(one.utf8)
    let b = Array(other.utf8)
    var rows = Array(repeating: Array(repeating: 0, count: b.count + 1), count: a.count + 1)
    for i in 0...a.count { rows[i][0] = i }
    for j in 0...b.count { rows[0][j] = j }
    for i in stride(from: 1, through: a.count, by: 1) {
        for j in stride(from: 1, through: b.count, by: 1) {
            let change = a[i - 1] == b[j - 1] ? 0 : 1
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + change)
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
            }
        }
    }
    return rows[a.count][b.count]
}
