// Paths inside the target, whose links must not lead out of it.

/// What stands at a path of the target, as far as walking needs to know.
public enum PathComponent: Equatable, Sendable {
    case nothing
    case folder
    case link(target: String)
    /// A file, a device, a socket.
    case other
}

public enum PathFault: Error, Equatable, Sendable, CustomStringConvertible {
    case tooManyLinks(String)
    /// Something other than a folder on the way.
    case blocked(by: String)

    public var description: String {
        switch self {
        case .tooManyLinks(let path): "the links on the way to \(path) lead round in circles"
        case .blocked(let path): "\(path) is not a directory"
        }
    }
}

/// The place a path names when the target's root is `/`: links followed in all parts but the last.
///
/// Absolute link targets start at the target's root again and `..` stops there, so no link leads outside.
/// Below something missing there are no links to follow, and the rest of the path stays as it is.
///
/// - Parameters:
///   - path: Absolute.
///   - look: What stands at a path without links in its parents.
/// - Returns: An absolute path whose parents are folders or missing.
public func resolveParents(
    of path: String, looking look: (String) -> PathComponent
) throws(PathFault) -> String {
    // What is still to be walked, last part first.
    var rest = Array(path.split(separator: "/").reversed())
    var place: [Substring] = []
    var isMissing = false
    var followed = 0
    while let part = rest.popLast() {
        if part == "." { continue }
        if part == ".." {
            if !place.isEmpty { place.removeLast() }
            // What is above something missing is there, or was walked through as missing too.
            isMissing = false
            continue
        }
        place.append(part)
        if rest.isEmpty || isMissing { continue }
        let here = "/" + place.joined(separator: "/")
        switch look(here) {
        case .folder: break
        case .nothing: isMissing = true
        case .other: throw .blocked(by: here)
        case .link(let target):
            followed += 1
            // Linux gives up after as many.
            if followed > 40 { throw .tooManyLinks(path) }
            place = target.hasPrefix("/") ? [] : place.dropLast()
            rest += target.split(separator: "/").reversed()
        }
    }
    return "/" + place.joined(separator: "/")
}
