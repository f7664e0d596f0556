// The account files as text: entries can be changed, and every other line stays as it is, byte for byte.

/// The files below `/etc` that hold users and groups, in the order in which changed ones are replaced.
///
/// A user exists once `passwd` names it, so `passwd` comes last. A user that only `shadow` names was begun by a run
/// that was stopped.
public enum AccountFileName: String, CaseIterable, Sendable {
    case shadow, subuid, subgid, gshadow, group, passwd

    /// The permissions of a file that is newly made.
    public var newMode: UInt32 { self == .shadow || self == .gshadow ? 0o440 : 0o644 }
}

/// One account file, line by line.
///
/// A line is an entry if shadow's programs (4.13) take it for one.
///
/// - SeeAlso: passwd(5), shadow(5), group(5), gshadow(5), subuid(5).
public struct AccountFile: Equatable, Sendable {
    typealias Field = [UInt8]

    private struct Line: Equatable, Sendable {
        var text: [UInt8]
        /// `nil`: the line is not an entry, but a comment, a reference to NIS, or damaged.
        var fields: [Field]?
    }

    /// Which file it is.
    public let name: AccountFileName
    private var lines: [Line]
    /// Whether the file has to be written; shadow's programs also write it for some changes that change nothing.
    public private(set) var isChanged = false

    /// Splits the bytes of a file into lines and entries.
    ///
    /// - Parameters:
    ///   - name: Which file it is.
    ///   - bytes: The whole file.
    public init(_ name: AccountFileName, parsing bytes: [UInt8]) {
        self.name = name
        var texts = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
        if texts.last == [] { texts.removeLast() }
        // In the group files, a backslash at the end of a line joins it with the next; such lines are never changed.
        let joins = name == .group || name == .gshadow
        var isJoined = false
        lines = texts.map { text in
            let continues = joins && text.last == UInt8(ascii: "\\")
            defer { isJoined = continues }
            return Line(text: text, fields: continues || isJoined ? nil : Self.fields(of: text, in: name))
        }
    }

    /// The whole file; every line ends with a newline.
    public var bytes: [UInt8] { lines.flatMap { $0.text + [UInt8(ascii: "\n")] } }

    // MARK: Reading

    private static func fields(of text: [UInt8], in name: AccountFileName) -> [Field]? {
        guard let first = text.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else { return nil }
        var fields = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map(Array.init)
        func areNumbers(_ some: ArraySlice<Field>) -> Bool { some.allSatisfy { number($0) != nil } }
        switch name {
        case .passwd: return fields.count == 7 && areNumbers(fields[2...3]) ? fields : nil
        case .group:
            guard (3...4).contains(fields.count), areNumbers(fields[2...2]) else { return nil }
            if fields.count == 3 { fields.append([]) }
            return fields
        case .shadow:
            guard [5, 8, 9].contains(fields.count), areNumbers(fields[2...].filter { !$0.isEmpty }[...]) else {
                return nil
            }
            return fields + Array(repeating: [], count: 9 - fields.count)
        case .gshadow: return fields.count == 4 ? fields : nil
        case .subuid, .subgid:
            return fields.count >= 3 && !fields[0].isEmpty && areNumbers(fields[1...2]) ? fields : nil
        }
    }

    static func number(_ field: Field) -> UInt64? { UInt64(String(decoding: field, as: UTF8.self)) }

    /// The entries, each with the index of its line.
    var entries: [(line: Int, fields: [Field])] {
        lines.enumerated().compactMap { number, line in line.fields.map { (number, $0) } }
    }

    /// The entry with a name.
    ///
    /// - Parameter name: The name of a user or a group.
    /// - Returns: The entry with the index of its line, or `nil` where there is none.
    /// - Throws: ``AccountFault/repeated(_:in:)`` where there are several; shadow's programs refuse those too.
    func entry(_ name: String) throws(AccountFault) -> (line: Int, fields: [Field])? {
        let found = entries.filter { $0.fields[0] == Array(name.utf8) }
        if found.count > 1 { throw .repeated(name, in: self.name) }
        return found.first
    }

    /// A field as a number; the id of an entry always is one.
    func id(_ fields: [Field], _ index: Int = 2) -> UInt32? {
        Self.number(fields[index]).flatMap(UInt32.init(exactly:))
    }

    // MARK: Changing

    mutating func set(_ fields: [Field], line: Int) {
        lines[line] = Line(text: Array(fields.joined(separator: [UInt8(ascii: ":")])), fields: fields)
        isChanged = true
    }

    /// Changes the entry of that name, or adds it before the lines that refer to NIS.
    mutating func put(_ fields: [Field]) throws(AccountFault) {
        if let present = try entry(String(decoding: fields[0], as: UTF8.self)) {
            return set(fields, line: present.line)
        }
        let end = lines.firstIndex { $0.text.first == UInt8(ascii: "+") || $0.text.first == UInt8(ascii: "-") }
        lines.insert(Line(text: [], fields: nil), at: end ?? lines.count)
        set(fields, line: end ?? lines.count - 1)
    }

    mutating func append(_ fields: [Field]) {
        lines.append(Line(text: [], fields: nil))
        set(fields, line: lines.count - 1)
    }

    mutating func remove(line: Int) {
        lines.remove(at: line)
        isChanged = true
    }

    /// The names in a list: field 3 of the group files holds the members, field 2 of `gshadow` the administrators.
    static func members(_ fields: [Field], _ index: Int = 3) -> [Field] {
        fields[index].split(separator: UInt8(ascii: ",")).map(Array.init)
    }

    /// Replaces a list of names in an entry.
    mutating func setMembers(_ members: [Field], _ index: Int = 3, line: Int) {
        guard var fields = lines[line].fields else { return }
        fields[index] = Array(members.joined(separator: [UInt8(ascii: ",")]))
        set(fields, line: line)
    }

    // MARK: Ranges of subordinate ids

    /// Finds the first `count` ids between `lowest` and `highest` that no entry covers.
    ///
    /// It also sorts the entries by their start and moves other lines behind them, as shadow's programs do.
    mutating func takeRange(lowest: UInt64, highest: UInt64, count: UInt64) -> UInt64? {
        func key(_ line: Line) -> (UInt64, UInt64, String) {
            guard let fields = line.fields, let start = Self.number(fields[1]), let count = Self.number(fields[2])
            else { return (.max, .max, "") }
            return (start, count, String(decoding: fields[0], as: UTF8.self))
        }
        lines = lines.enumerated().sorted { one, other in
            (one.element.fields == nil) != (other.element.fields == nil)
                ? other.element.fields == nil
                : key(one.element) == key(other.element)
                    ? one.offset < other.offset : key(one.element) < key(other.element)
        }.map(\.element)
        isChanged = true
        guard count > 0, highest >= lowest else { return nil }
        var low = lowest
        for line in lines where line.fields != nil {
            let (first, size, _) = key(line)
            let hole = min(first, highest + 1)
            if hole > low, hole - low >= count { return low }
            let (end, overflows) = first.addingReportingOverflow(size)
            low = max(low, overflows ? .max : end)
            if low > highest { return nil }
        }
        return highest - low + 1 >= count ? low : nil
    }
}
