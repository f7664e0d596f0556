// A report for programs: as JSON, and in the lines of `ignition-validate`.

import JSONText

extension IgnitionConfig.Report {
    /// The report as `{"source": "config.ign", "valid": false, "errors": 1, "warnings": 0, "diagnostics": [...]}`.
    ///
    /// A diagnostic has `severity`, `path`, `message` and, if its place is known, `line`, `column` and `bytes`: its
    /// first byte and the one past its last. If there are very many, only the first are listed, but all are counted.
    public var json: JSONValue {
        [
            "source": .string(source),
            "valid": .bool(errors.isEmpty),
            "errors": JSONValue(errors.count + omittedErrors),
            "warnings": JSONValue(warnings.count + omittedWarnings),
            "diagnostics": .array(diagnostics.map(\.json)),
        ]
    }

    /// What `ignition-validate` prints to standard output, one entry a line.
    public var ignitionLines: [String] {
        unparsedReason == nil ? diagnostics.map(\.ignitionLine) : []
    }

    /// Why the text is not a config at all: it is empty or has no known version.
    ///
    /// `ignition-validate` prints this in place of entries.
    public var unparsedReason: String? {
        if text.isEmpty, !errors.isEmpty { return errors[0].message }
        return errors.first { $0.path == "ignition.version" }?.sentence
    }
}

extension IgnitionConfig.Diagnostic {
    var json: JSONValue {
        var json: JSONValue = [
            "severity": .string(severity.rawValue), "path": .string(path), "message": .string(message),
        ]
        if let place {
            json["line"] = JSONValue(place.line)
            json["column"] = JSONValue(place.column)
            json["bytes"] = [JSONValue(place.bytes.lowerBound), JSONValue(place.bytes.upperBound)]
        }
        return json
    }

    /// The entry as `error at $.storage.files.0.mode, line 7 col 21: 644 is octal 1204; 420 is octal 644`.
    var ignitionLine: String {
        let steps = path.split(whereSeparator: { $0 == "." || $0 == "[" || $0 == "]" })
        let places =
            (steps.isEmpty ? [] : ["$." + steps.joined(separator: ".")])
            + (place.map { ["line \($0.line) col \($0.column)"] } ?? [])
        let at = places.isEmpty ? "" : " at " + places.joined(separator: ", ")
        return "\(severity.rawValue)\(at): \(message)"
    }
}
