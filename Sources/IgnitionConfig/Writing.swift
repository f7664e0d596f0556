// From a config to JSON, in the newest version's shape.

import JSONText

extension IgnitionConfig {
    /// The config as JSON of the newest spec, 3.7.0-experimental, without absent keys.
    ///
    /// Reading it again gives an equal config. It holds every secret that the config holds.
    public var json: JSONValue { written(self) }

    /// Reads what ``json`` wrote, without checking its rules again.
    ///
    /// - Throws: ``InvalidConfig`` if it is not JSON or has a value of the wrong type.
    public static func decode(_ bytes: [UInt8], name: String) throws(InvalidConfig) -> IgnitionConfig {
        try read(bytes, source: SourceText(name: name), checksRules: false).checked()
    }
}

private func written<Value: ConfigObject>(_ value: Value) -> JSONValue {
    let writer = FieldWriter(writesEmptyObjects: Value.writesEmptyObjects)
    var value = value
    value.describe(to: writer)
    return .object(writer.members)
}

private final class FieldWriter: FieldVisitor {
    private let writesEmptyObjects: Bool
    private(set) var members: [JSONValue.Member] = []

    init(writesEmptyObjects: Bool) { self.writesEmptyObjects = writesEmptyObjects }

    private func add(_ name: String, _ value: JSONValue?) {
        if let value { members.append(.init(name, value)) }
    }

    func version(_ name: String, _ value: inout SpecVersion) { add(name, .string(SpecVersion.newest.description)) }
    func key(_ name: String, _ value: inout String) { add(name, .string(value)) }

    func string(_ name: String, _ value: inout String?, since: SpecVersion) {
        add(name, value.map { .string($0) })
    }

    func bool(_ name: String, _ value: inout Bool?, since: SpecVersion) { add(name, value.map { .bool($0) }) }
    func integer(_ name: String, _ value: inout Int?, since: SpecVersion) { add(name, value.map { JSONValue($0) }) }
    func mode(_ name: String, _ value: inout Int?) { add(name, value.map { JSONValue($0) }) }

    func strings(_ name: String, _ value: inout [String], _ rule: ListRule, since: SpecVersion) {
        if !value.isEmpty { add(name, .array(value.map { .string($0) })) }
    }

    func object<Value: ConfigObject>(_ name: String, _ value: inout Value, since: SpecVersion) {
        let json = written(value)
        if writesEmptyObjects || json != .object([]) { add(name, json) }
    }

    func list<Value: ConfigObject>(
        _ name: String, _ value: inout [Value], _ rule: ListRule, since: SpecVersion
    ) {
        if !value.isEmpty { add(name, .array(value.map { written($0) })) }
    }
}

extension IgnitionConfig { static var writesEmptyObjects: Bool { true } }
extension IgnitionConfig.Ignition { static var writesEmptyObjects: Bool { true } }
extension IgnitionConfig.References { static var writesEmptyObjects: Bool { true } }
extension IgnitionConfig.Security { static var writesEmptyObjects: Bool { true } }
