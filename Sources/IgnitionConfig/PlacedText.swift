// A config that was made of other texts, and the places of those that messages are to name.

import JSONText

extension IgnitionConfig {
    /// A text as messages name it: by its own name and lines, or by those of the texts that it was made of.
    public final class SourceText: Sendable {
        /// What messages call the text.
        public let name: String
        /// Where the values are asked for, by their first bytes; `nil` where the text is what somebody wrote.
        private let places: [Int: Place]?

        /// A place in another text.
        public struct Place: Equatable, Sendable {
            /// The name of the text.
            public var text: String
            /// The line, from 1.
            public var line: Int
            /// The column, from 1.
            public var column: Int

            /// Takes each part as it is.
            public init(text: String, line: Int, column: Int) {
                self.text = text
                self.line = line
                self.column = column
            }
        }

        /// Names a text.
        ///
        /// - Parameters:
        ///   - name: What messages call it.
        ///   - places: Where its values are asked for, by their first bytes; `nil`: in the text itself.
        public init(name: String, places: [Int: Place]? = nil) {
            self.name = name
            self.places = places
        }

        /// The place that messages name for a place in this text; `nil` where none is known.
        func shown(_ place: SourcePlace) -> Place? {
            guard let places else { return Place(text: name, line: place.line, column: place.column) }
            return places[place.bytes.lowerBound]
        }

        /// The same for a diagnostic; its bytes are those of this text, by which diagnostics are sorted.
        func told(_ place: SourcePlace) -> (text: String, place: SourcePlace)? {
            shown(place).map { ($0.text, SourcePlace(line: $0.line, column: $0.column, bytes: place.bytes)) }
        }

        /// Whether the lines and columns of places are those of this text.
        var isOriginal: Bool { places == nil }

        fileprivate var sortedPlaces: [(byte: Int, place: Place)] {
            (places ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        }
    }

    /// A config together with the places that messages are to name, as one program hands it to another.
    public struct PlacedText: VersionedRecord, Sendable {
        /// The config, as JSON.
        public var config: [UInt8]
        /// What messages say of places in it.
        public var source: SourceText

        /// Takes a config and what messages say of it.
        public init(_ config: [UInt8], source: SourceText) {
            self.config = config
            self.source = source
        }

        /// `{"config": "...", "name": "config.bu", "texts": [...], "places": [[byte, text, line, column]]}`.
        public var json: JSONValue {
            var texts: [String] = []
            let places = source.sortedPlaces.map { byte, place in
                let index = texts.firstIndex(of: place.text) ?? texts.count
                if index == texts.count { texts.append(place.text) }
                return JSONValue.array([byte, index, place.line, place.column].map { JSONValue($0) })
            }
            return [
                "config": .string(String(decoding: config, as: UTF8.self)), "name": .string(source.name),
                "texts": .array(texts.map { .string($0) }), "places": .array(places),
            ]
        }

        /// Reads what ``json`` wrote; `nil` where it is something else.
        public init?(json: JSONValue) {
            guard let config = json["config"]?.string, let name = json["name"]?.string,
                let entries = json["places"]?.elements
            else { return nil }
            let texts = (json["texts"]?.elements ?? []).compactMap(\.string)
            var places: [Int: SourceText.Place] = [:]
            for entry in entries {
                let numbers = (entry.elements ?? []).compactMap(\.integer).map { Int($0) }
                guard numbers.count == 4, texts.indices.contains(numbers[1]) else { return nil }
                places[numbers[0]] = .init(text: texts[numbers[1]], line: numbers[2], column: numbers[3])
            }
            self.init(Array(config.utf8), source: SourceText(name: name, places: places))
        }
    }
}
