// The result with the places of the texts that ask for its values.

import IgnitionConfig
import JSONText

extension Butane.Outcome {
    /// The result, of which messages name the lines of the Butane config; `nil` where there is none.
    public var placed: IgnitionConfig.PlacedText? {
        guard let output, let result, let node = try? JSONNode(parsing: output) else { return nil }
        var places: [Int: IgnitionConfig.SourceText.Place] = [:]
        collect(node, madeOf: result, into: &places)
        return .init(output, source: .init(name: texts.first?.name ?? "", places: places))
    }

    /// Notes where a value of the result, and all that is in it, is asked for.
    private func collect(
        _ node: JSONNode, madeOf origin: ConfigNode, into places: inout [Int: IgnitionConfig.SourceText.Place]
    ) {
        let source = origin.source
        if texts.indices.contains(source.text), let place = documents[source.text]?.place(of: source) {
            places[node.place.bytes.lowerBound] = .init(
                text: texts[source.text].name, line: place.line, column: place.column)
        }
        switch node.value {
        case .object(let members):
            for member in members { collect(member.value, madeOf: origin[member.key] ?? origin, into: &places) }
        case .array(let elements):
            let entries = if case .list(let entries) = origin.value { entries } else { [ConfigNode]() }
            for (index, element) in elements.enumerated() {
                collect(element, madeOf: entries.indices.contains(index) ? entries[index] : origin, into: &places)
            }
        default: break
        }
    }
}
