// Paths inside the target; their links must not lead out of it.

/// What is at a path of the target, as far as path resolution needs to know.
public enum PathComponent: Equatable, Sendable {
    case nothing
    case folder
    case link(target: String)
    /// A file, a device or a socket.
    case other
}

/// Why a path cannot be resolved.
public enum PathFault: Error, Equatable, Sendable, CustomStringConvertible {
    case tooManyLinks(String)
    /// Something on the way is not a folder.
    case blocked(by: String)

    /// One sentence without its full stop.
    public var description: String {
        switch self {
        case .tooManyLinks(let path): "the links on the way to \(path) lead round in circles"
        case .blocked(let path): "\(path) is not a directory"
        }
    }
}

/// Resolves a path as if the target's root were `/`, following links in all parts but the last.
///
/// Absolute link targets start at the target's root, and `..` stops there, so no link leads outside. Below something
/// that is missing there are no links to follow, and the rest of the path stays as it is.
///
/// - Parameters:
///   - path: Absolute.
///   - look: Tells what is at a path that has no links in its parents.
/// - Returns: An absolute path whose parents are folders or missing.
/// - Throws: ``PathFault`` where something on the way is neither a folder nor a link to one.
public func resolveParents(
    of path: String, looking look: (String) -> PathComponent
) throws(PathFault) -> String {
    // The parts still to be walked, the last one first.
    var rest = Array(path.split(separator: "/").reversed())
    var place: [Substring] = []
    var isMissing = false
    var followed = 0
    while let part = rest.popLast() {
        if part == "." { continue }
        if part == ".." {
            if !place.isEmpty { place.removeLast() }
            // What is above something missing exists, or was itself walked through as missing.
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
            // Linux gives up after as many links.
            if followed > 40 { throw .tooManyLinks(path) }
            place = target.hasPrefix("/") ? [] : place.dropLast()
            rest += target.split(separator: "/").reversed()
        }
    }
    return "/" + place.joined(separator: "/")
}
