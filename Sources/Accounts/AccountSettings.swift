// The target's own settings for new users and groups.

/// The settings of `/etc/login.defs` and `/etc/default/useradd`.
///
/// A setting that is missing has the value that Debian's shadow 4.13 is built with.
///
/// - SeeAlso: login.defs(5), useradd(8).
public struct AccountSettings: Equatable, Sendable {
    private var values: [String: String] = [:]
    /// The settings of `/etc/default/useradd`.
    private var defaults: [String: String] = [:]

    /// Parses the texts of both files; malformed lines are skipped, and the last of repeated ones counts.
    public init(loginDefs: String = "", useradd: String = "") {
        for line in loginDefs.split(whereSeparator: \.isNewline) {
            let words = line.drop { $0 == " " || $0 == "\t" }
            guard let end = words.firstIndex(where: { $0 == " " || $0 == "\t" }), words.first != "#" else { continue }
            let value = words[end...].drop { $0 == " " || $0 == "\t" || $0 == "\"" }.prefix { $0 != "\"" }
            let trimmed = value.reversed().drop(while: \.isWhitespace).reversed()
            if !trimmed.isEmpty { values[String(words[..<end])] = String(trimmed) }
        }
        for line in useradd.split(whereSeparator: \.isNewline) {
            guard let sign = line.firstIndex(of: "=") else { continue }
            defaults[String(line[..<sign])] = String(line[line.index(after: sign)...])
        }
    }

    /// Parses a number as strtol does: decimal, `0x` hexadecimal, `0` octal.
    private static func number(_ text: String) -> Int? {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        let magnitude =
            digits.lowercased().hasPrefix("0x")
            ? Int(digits.dropFirst(2), radix: 16) : Int(digits, radix: digits.hasPrefix("0") ? 8 : 10)
        // `Int` would accept a second sign; strtol does not.
        return magnitude.flatMap { $0 < 0 ? nil : text.hasPrefix("-") ? -$0 : $0 }
    }

    /// A setting of login.defs as a number; one that is not a number counts as missing.
    func number(_ name: String) -> Int? { values[name].flatMap(Self.number) }

    func isSet(_ name: String) -> Bool { values[name]?.lowercased() == "yes" }

    // MARK: New users

    /// The name or number of the group of users that get no group of their own.
    var group: String? { defaults["GROUP"] }
    /// The folder that holds the homes.
    public var homes: String { defaults["HOME"] ?? "/home" }
    var shell: String { defaults["SHELL"] ?? "/bin/bash" }
    /// The folder that is copied into a new home.
    var skeleton: String { defaults["SKEL"].flatMap { $0.isEmpty ? nil : $0 } ?? "/etc/skel" }
    var homeMode: UInt32 {
        UInt32(truncatingIfNeeded: number("HOME_MODE") ?? 0o777 & ~(number("UMASK") ?? 0o022)) & 0o7777
    }

    /// Fields 3 to 7 of a new user's line in `shadow`, counted from 0: the ages of the password in days, and the day on
    /// which the account ends.
    var ages: [String] {
        let inactive = defaults["INACTIVE"].flatMap(Self.number) ?? -1
        let ages = [number("PASS_MIN_DAYS"), number("PASS_MAX_DAYS"), number("PASS_WARN_AGE"), inactive, lastDay]
        return ages.map { age in age.map { $0 < 0 ? "" : String($0) } ?? "" }
    }

    /// The setting `EXPIRE`, as days since 1970; it holds such a number or a date.
    private var lastDay: Int? {
        guard let text = defaults["EXPIRE"], !text.isEmpty else { return nil }
        if let day = Int(text) { return day }
        let parts = text.split(separator: "-").map { Int($0) ?? -1 }
        guard parts.count == 3, (1970...9999).contains(parts[0]), (1...12).contains(parts[1]),
            (1...31).contains(parts[2])
        else { return nil }
        // Years begin in March here, so that the leap day is the last of its year; see `utcTimestamp`.
        let year = parts[1] > 2 ? parts[0] : parts[0] - 1
        let month = (parts[1] + 9) % 12
        return 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + parts[2] - 1 - 719_468
    }

    /// What makes a new user's home at that path.
    public func newHome(_ path: String, owner: AccountEffect.Owner) -> AccountEffect {
        .makeHome(path, owner: owner, mode: homeMode, skeleton: skeleton)
    }

    /// Whether a new user without a given group gets one of its own name.
    package var givesOwnGroups: Bool { isSet("USERGROUPS_ENAB") }

    // MARK: Ids

    /// A number for a new account, chosen as shadow's programs choose it.
    ///
    /// - Parameters:
    ///   - kind: `UID` or `GID`.
    ///   - present: The numbers of the accounts that are there.
    ///   - taken: Other numbers that it must not have.
    ///   - isSystem: Whether it is a system account.
    /// - Returns: `nil` where the settings leave none.
    package func freeNumber(
        _ kind: String, after present: Set<UInt32>, beside taken: Set<UInt32>, isSystem: Bool
    ) -> UInt32? {
        range(kind, isSystem: isSystem)?.free(present, elsewhere: taken, isSystem: isSystem)
    }

    /// The range in which new ids are chosen.
    struct IDRange: Equatable {
        var lowest: UInt32
        var highest: UInt32
        /// The lowest id that a request may name.
        var lowestWanted: UInt32
    }

    /// The range of ids for new users or groups.
    ///
    /// - Parameters:
    ///   - kind: `UID` or `GID`.
    ///   - isSystem: Whether the ids are for system accounts.
    /// - Returns: `nil` where the settings leave no room.
    func range(_ kind: String, isSystem: Bool) -> IDRange? {
        func id(_ name: String, _ fallback: Int) -> Int { number(name) ?? fallback }
        let lowestUser = id("\(kind)_MIN", 1000)
        let (lowest, highest) =
            isSystem
            ? (id("SYS_\(kind)_MIN", 101), id("SYS_\(kind)_MAX", lowestUser - 1))
            : (lowestUser, id("\(kind)_MAX", 60000))
        guard let lowest = UInt32(exactly: isSystem ? max(lowest, 1) : lowest), let highest = UInt32(exactly: highest),
            lowest <= highest, highest < .max
        else { return nil }
        return IDRange(lowest: lowest, highest: highest, lowestWanted: isSystem ? 1 : lowest)
    }

    /// The range of subordinate ids, and how many a new user gets.
    ///
    /// - Parameter kind: `SUB_UID` or `SUB_GID`.
    /// - Returns: The first and the last id of the range, and the number of ids per user.
    func subordinates(_ kind: String) -> (lowest: UInt64, highest: UInt64, count: UInt64) {
        func value(_ name: String, _ fallback: UInt64) -> UInt64 {
            number(name).flatMap(UInt64.init(exactly:)) ?? fallback
        }
        return (
            value("\(kind)_MIN", 100_000), value("\(kind)_MAX", 600_100_000), value("\(kind)_COUNT", 65536)
        )
    }
}

extension AccountSettings.IDRange {
    /// Chooses a free id as shadow's programs do.
    ///
    /// That is `wanted` where it is free, else the one after the highest in use (for system accounts the one before the
    /// lowest), else the first gap from there.
    ///
    /// - Parameters:
    ///   - taken: The ids in the file.
    ///   - elsewhere: The ids in the target's other databases.
    ///   - wanted: The preferred id.
    ///   - isSystem: Whether the id is for a system account; those are chosen downwards.
    /// - Returns: `nil` where the range is full.
    func free(_ taken: Set<UInt32>, elsewhere: Set<UInt32>, wanted: UInt32? = nil, isSystem: Bool) -> UInt32? {
        func isFree(_ id: UInt32) -> Bool { !taken.contains(id) && !elsewhere.contains(id) }
        if let wanted, wanted >= lowestWanted, wanted <= highest, isFree(wanted) { return wanted }
        let known = taken.filter { $0 >= lowest && $0 <= highest }
        if isSystem {
            let below = (known.min() ?? highest + 1) - 1
            let start = below < lowest ? highest : below
            return (lowest...start).last(where: isFree) ?? (lowest...highest).last(where: isFree)
        }
        let above = known.max().map { $0 + 1 } ?? lowest
        let start = above > highest ? lowest : above
        return (start...highest).first(where: isFree) ?? (lowest...highest).first(where: isFree)
    }
}
