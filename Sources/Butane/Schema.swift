// How the fields of a config are described: one description reads, checks, translates, merges and writes them.

/// What a value is.
indirect enum FieldKind: Sendable {
    case string
    case integer
    case bool
    /// - Parameter named: What Butane calls the type of an entry in its messages, where it has a name.
    case list(FieldKind, named: String? = nil)
    case object(ObjectType)
    /// Any keys, texts below them.
    case texts
}

/// One field of an object.
struct Field: Sendable {
    enum Presence: Sendable {
        /// Left out where it is absent; empty and absent differ.
        case optional
        /// Written always: absent is as empty.
        case required
        /// Left out where it is absent or empty.
        case unlessEmpty
    }

    enum Merge: Sendable {
        /// Entries with the same key become one.
        case keyed
        /// The parent's entries, then the child's.
        case appended
    }

    /// As it is written in Butane.
    var name: String
    /// As it is written in Ignition; `nil` where it is sugar.
    var json: String?
    var kind: FieldKind
    var presence = Presence.optional
    var merge = Merge.keyed
}

/// The fields of one kind of object, in the order in which Ignition writes them.
struct ObjectType: Sendable {
    enum Key: Sendable {
        case none
        /// The value of a field, in Ignition's name.
        case field(String)
        /// A partition's number, or where it has none, its label.
        case partition
    }

    /// What Butane calls it in messages: `Filesystem`.
    var name: String
    var fields: [Field]
    /// What tells the entries of a list of these from each other.
    var key = Key.none
    /// Lists whose entries share their keys, by Ignition's names: files, directories and links.
    var sharedKeys: [String] = []
    /// Whether Butane tells an empty object from an absent one.
    var isPointer = false

    func field(json name: String) -> Field? { fields.first { $0.json == name } }
}

// MARK: Shorthands of the tables

extension Field {
    static func text(_ name: String, _ json: String? = nil) -> Field {
        Field(name: name, json: json ?? name, kind: .string)
    }
    static func name(_ name: String) -> Field { Field(name: name, json: name, kind: .string, presence: .required) }
    static func number(_ name: String, _ json: String? = nil) -> Field {
        Field(name: name, json: json ?? name, kind: .integer)
    }
    static func flag(_ name: String, _ json: String? = nil) -> Field {
        Field(name: name, json: json ?? name, kind: .bool)
    }

    static func texts(
        _ name: String, _ json: String? = nil, _ merge: Merge = .keyed, named: String? = nil
    ) -> Field {
        Field(name: name, json: json ?? name, kind: .list(.string, named: named), merge: merge)
    }

    static func object(_ name: String, _ json: String? = nil, _ type: ObjectType) -> Field {
        Field(name: name, json: json ?? name, kind: .object(type))
    }

    static func list(_ name: String, _ json: String? = nil, _ type: ObjectType, _ merge: Merge = .keyed) -> Field {
        Field(name: name, json: json ?? name, kind: .list(.object(type)), merge: merge)
    }

    /// A field that has no counterpart in Ignition.
    static func sugar(_ name: String, _ kind: FieldKind) -> Field { Field(name: name, json: nil, kind: kind) }
}

/// The fields that there are from a version on.
func since(_ version: Int, _ base: Int, _ fields: Field...) -> [Field] { base >= version ? fields : [] }
