// Merging two configs: the child's values replace the parent's.

extension IgnitionConfig {
    /// This config with `child` merged over it.
    ///
    /// A field that the child has wins, even if it is empty. Entries of lists are matched by their keys; files,
    /// directories and links share one set of paths. Options and appended contents are concatenated.
    /// The result has the newest version. It can break rules that both configs keep: see ``validate(name:)``.
    /// - SeeAlso: Ignition's documentation, "Operator notes", "Config merging".
    public func merged(with child: IgnitionConfig) -> IgnitionConfig {
        var config = merge(self, child)
        config.ignition.version = .newest
        return config
    }
}

private func merge<Value: ConfigObject>(_ parent: Value, _ child: Value) -> Value {
    var parent = parent
    var child = child
    Value.reconcile(&parent, &child)
    let collector = FieldCollector()
    child.describe(to: collector)
    parent.describe(to: FieldMerger(collector.values))
    parent.origin = child.origin.over(parent.origin)
    return parent
}

/// One list of two: the parent's order with matches merged in place, then the entries that only the child has.
private func merge<Value>(
    _ parent: [Value], _ child: [Value], key: (Value) -> String, _ merge: (Value, Value) -> Value
) -> [Value] {
    if parent.isEmpty { return child }
    if child.isEmpty { return parent }
    var places: [ByteKey: Int] = [:]
    for (index, value) in parent.enumerated() where places[ByteKey(key(value))] == nil {
        places[ByteKey(key(value))] = index
    }
    var result = parent
    for value in child {
        if let place = places[ByteKey(key(value))] {
            result[place] = merge(result[place], value)
        } else {
            places[ByteKey(key(value))] = result.count
            result.append(value)
        }
    }
    return result
}

/// Collects a child's fields in the order of their description.
private final class FieldCollector: FieldVisitor {
    enum Held {
        case string(String?)
        case bool(Bool?)
        case integer(Int?)
        case strings([String])
        /// An object, or a list of them.
        case part(Any)
    }

    var values: [Held] = []

    func version(_ name: String, _ value: inout SpecVersion) {}
    func key(_ name: String, _ value: inout String) { values.append(.string(value)) }
    func string(_ name: String, _ value: inout String?, since: SpecVersion) { values.append(.string(value)) }
    func bool(_ name: String, _ value: inout Bool?, since: SpecVersion) { values.append(.bool(value)) }
    func integer(_ name: String, _ value: inout Int?, since: SpecVersion) { values.append(.integer(value)) }
    func mode(_ name: String, _ value: inout Int?) { values.append(.integer(value)) }

    func strings(_ name: String, _ value: inout [String], _ rule: ListRule, since: SpecVersion) {
        values.append(.strings(value))
    }

    func object<Value: ConfigObject>(_ name: String, _ value: inout Value, since: SpecVersion) {
        values.append(.part(value))
    }

    func list<Value: ConfigObject>(
        _ name: String, _ value: inout [Value], _ rule: ListRule, since: SpecVersion
    ) {
        values.append(.part(value))
    }
}

/// Sets a parent's fields from those of its child, which are described in the same order.
private final class FieldMerger: FieldVisitor {
    private let values: [FieldCollector.Held]
    private var next = 0

    init(_ values: [FieldCollector.Held]) { self.values = values }

    private func take() -> FieldCollector.Held {
        next += 1
        return values[next - 1]
    }

    func version(_ name: String, _ value: inout SpecVersion) {}

    func key(_ name: String, _ value: inout String) {
        if case .string(let text?) = take() { value = text }
    }

    func string(_ name: String, _ value: inout String?, since: SpecVersion) {
        if case .string(let text?) = take() { value = text }
    }

    func bool(_ name: String, _ value: inout Bool?, since: SpecVersion) {
        if case .bool(let flag?) = take() { value = flag }
    }

    func integer(_ name: String, _ value: inout Int?, since: SpecVersion) {
        if case .integer(let number?) = take() { value = number }
    }

    func mode(_ name: String, _ value: inout Int?) { integer(name, &value, since: .v30) }

    func strings(_ name: String, _ value: inout [String], _ rule: ListRule, since: SpecVersion) {
        guard case .strings(let texts) = take() else { return }
        value = rule == .appended ? value + texts : merge(value, texts, key: { $0 }, { _, child in child })
    }

    func object<Value: ConfigObject>(_ name: String, _ value: inout Value, since: SpecVersion) {
        guard case .part(let any) = take(), let child = any as? Value else { return }
        value = merge(value, child)
    }

    func list<Value: ConfigObject>(
        _ name: String, _ value: inout [Value], _ rule: ListRule, since: SpecVersion
    ) {
        guard case .part(let any) = take(), let child = any as? [Value] else { return }
        value = rule == .appended ? value + child : merge(value, child, key: \.key, { merge($0, $1) })
    }
}

// MARK: Keys

private func keys<Value: ConfigObject>(of values: [Value]) -> Set<ByteKey> { Set(values.map { ByteKey($0.key) }) }

extension IgnitionConfig.Resource {
    var key: String { source?.text ?? "" }

    /// Removes the parent's headers that the child gives without a value.
    static func reconcile(_ parent: inout Self, _ child: inout Self) {
        if child.httpHeaders.isEmpty || parent.httpHeaders.isEmpty { return }
        let removed = keys(of: child.httpHeaders.filter { $0.value == nil }).intersection(keys(of: parent.httpHeaders))
        parent.httpHeaders.removeAll { removed.contains(ByteKey($0.name)) }
        child.httpHeaders.removeAll { $0.value == nil && removed.contains(ByteKey($0.name)) }
    }
}

extension IgnitionConfig.HTTPHeader { var key: String { name } }
extension IgnitionConfig.Disk { var key: String { device } }
extension IgnitionConfig.Raid { var key: String { name } }
extension IgnitionConfig.Luks { var key: String { name } }
extension IgnitionConfig.Tang { var key: String { url } }
extension IgnitionConfig.Filesystem { var key: String { device } }
extension IgnitionConfig.File { var key: String { path } }
extension IgnitionConfig.Directory { var key: String { path } }
extension IgnitionConfig.Link { var key: String { path } }
extension IgnitionConfig.Unit { var key: String { name } }
extension IgnitionConfig.Dropin { var key: String { name } }
extension IgnitionConfig.User { var key: String { name } }
extension IgnitionConfig.Group { var key: String { name } }

extension IgnitionConfig.Partition {
    /// The number, or without one the label; a number never matches a label.
    var key: String {
        if let number, number != 0 { return "number \(number)" }
        return label.map { "label \($0)" } ?? ""
    }
}

extension IgnitionConfig.Storage {
    /// Removes what the child makes another kind of node: a path has one entry.
    static func reconcile(_ parent: inout Self, _ child: inout Self) {
        let files = keys(of: child.files)
        let directories = keys(of: child.directories)
        let links = keys(of: child.links)
        parent.files.removeAll { directories.contains(ByteKey($0.path)) || links.contains(ByteKey($0.path)) }
        parent.directories.removeAll { files.contains(ByteKey($0.path)) || links.contains(ByteKey($0.path)) }
        parent.links.removeAll { files.contains(ByteKey($0.path)) || directories.contains(ByteKey($0.path)) }
    }
}

extension IgnitionConfig.KernelArguments {
    /// Removes the parent's arguments for which the child asks the opposite.
    static func reconcile(_ parent: inout Self, _ child: inout Self) {
        let wanted = Set(child.shouldExist.map { ByteKey($0) })
        let unwanted = Set(child.shouldNotExist.map { ByteKey($0) })
        parent.shouldExist.removeAll { unwanted.contains(ByteKey($0)) }
        parent.shouldNotExist.removeAll { wanted.contains(ByteKey($0)) }
    }
}
