// One description of the fields of each object, shared by reading, writing and merging.

import Encoding

/// A part of the config that is written as a JSON object.
protocol ConfigObject {
    init()

    var origin: IgnitionConfig.Origin { get set }

    /// What distinguishes this entry of a list from the others, for lists with keys.
    var key: String { get }

    /// Whether empty objects inside it are written too, as Ignition does: some programs expect them.
    static var writesEmptyObjects: Bool { get }

    /// Names every field, in the order in which they are written.
    mutating func describe(to fields: any FieldVisitor)

    /// Prepares a merge: removes from each side what the other side replaces.
    static func reconcile(_ parent: inout Self, _ child: inout Self)
}

extension ConfigObject {
    var key: String { "" }
    static var writesEmptyObjects: Bool { false }
    static func reconcile(_ parent: inout Self, _ child: inout Self) {}
}

/// How the lists of two configs become one.
enum ListRule {
    /// Entries with the same key become one entry.
    case keyed
    /// The parent's entries, then the child's.
    case appended
}

/// Visits the fields of an object; `since` is the first spec version that has a field.
protocol FieldVisitor: AnyObject {
    /// Whether the object belongs to the section `ignition`, where resources had fewer fields in 3.0.0.
    var isInIgnition: Bool { get }

    func version(_ name: String, _ value: inout SpecVersion)
    /// A field that names its object; absent counts as empty.
    func key(_ name: String, _ value: inout String)
    func string(_ name: String, _ value: inout String?, since: SpecVersion)
    func bool(_ name: String, _ value: inout Bool?, since: SpecVersion)
    func integer(_ name: String, _ value: inout Int?, since: SpecVersion)
    /// File permissions.
    func mode(_ name: String, _ value: inout Int?)
    func strings(_ name: String, _ value: inout [String], _ rule: ListRule, since: SpecVersion)
    func object<Value: ConfigObject>(_ name: String, _ value: inout Value, since: SpecVersion)
    func list<Value: ConfigObject>(_ name: String, _ value: inout [Value], _ rule: ListRule, since: SpecVersion)
}

extension FieldVisitor {
    var isInIgnition: Bool { false }

    func string(_ name: String, _ value: inout String?) { string(name, &value, since: .v30) }

    func url(_ name: String, _ value: inout ConfigURL?, since: SpecVersion = .v30) {
        var text = value?.text
        string(name, &text, since: since)
        if text != value?.text { value = text.map(ConfigURL.init) }
    }

    func bool(_ name: String, _ value: inout Bool?) { bool(name, &value, since: .v30) }
    func integer(_ name: String, _ value: inout Int?) { integer(name, &value, since: .v30) }

    func strings(_ name: String, _ value: inout [String], _ rule: ListRule = .keyed) {
        strings(name, &value, rule, since: .v30)
    }

    func strings(_ name: String, _ value: inout [String], since: SpecVersion) {
        strings(name, &value, .keyed, since: since)
    }

    func object<Value: ConfigObject>(_ name: String, _ value: inout Value) { object(name, &value, since: .v30) }

    func list<Value: ConfigObject>(_ name: String, _ value: inout [Value], _ rule: ListRule = .keyed) {
        list(name, &value, rule, since: .v30)
    }

    func list<Value: ConfigObject>(_ name: String, _ value: inout [Value], since: SpecVersion) {
        list(name, &value, .keyed, since: since)
    }
}
