// What one process leaves for another, as JSON that says which form it has.

/// An object with a `schema`.
///
/// Its names and words are written where it is described, not derived from a type.
public protocol VersionedRecord {
    /// Raised whenever the form changes in a way that an older reader would misunderstand.
    static var schema: Int { get }
    /// The members of the object, beside the schema.
    var json: JSONValue { get }
    /// Reads the members; `nil` where the object is not such a record.
    init?(json: JSONValue)
}

extension VersionedRecord {
    /// The first form.
    public static var schema: Int { 1 }

    /// The content of the file.
    public var text: JSONValue { .object([.init("schema", JSONValue(Self.schema))] + (json.members ?? [])) }

    /// The same as the bytes of a file, in lines.
    public var bytes: [UInt8] { Array(text.text(.pretty).utf8) }

    /// Reads what ``text`` wrote; `nil` where it is of another form.
    ///
    /// A file without a schema has the first.
    public init?(reading json: JSONValue) {
        guard (json["schema"]?.integer).map({ Int($0) }) ?? 1 == Self.schema else { return nil }
        self.init(json: json)
    }

    /// Reads the bytes of a file; `nil` where they are not JSON, or of another form.
    public init?(parsing bytes: [UInt8]) {
        guard let node = try? JSONNode(parsing: bytes) else { return nil }
        self.init(reading: JSONValue(node))
    }
}
