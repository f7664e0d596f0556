// Small files of the target that other code than the files stage reads or writes. Every path is resolved as if the
// target's root were /.

import FilePlanning
import Glibc
import LinuxSystem
import SystemPackage

extension TargetRoot {
    /// Whether something is at a path, even a dangling link; links in its parents are followed.
    public func has(_ path: String) -> Bool { (try? place(path))?.status != nil }

    /// The target of the link at a path; `nil` where there is no link.
    public func link(at path: String) -> String? { (try? place(path))?.linkTarget }

    /// Where a path leads when links at its end are followed too; `nil` where nothing is there.
    public func destination(of path: String) -> String? {
        guard let place = try? follow(path), has(place) else { return nil }
        return place
    }

    /// Replaces what is at a path by a file of root's, in one step; a link at the end is replaced, not followed.
    ///
    /// - Parameters:
    ///   - path: Absolute in the target.
    ///   - bytes: The content.
    ///   - mode: The mode of the file.
    ///   - folderMode: The mode of the file's folder if that is missing; missing folders above it get 0755.
    /// - Throws: ``TargetFault/cannot(_:path:_:)``.
    public func replaceFile(
        _ path: String, with bytes: [UInt8], mode: UInt32 = 0o644, folderMode: UInt32 = 0o755
    ) throws(TargetFault) {
        do {
            let resolved = try resolve(path)
            var isNew = false
            let folder = resolved[..<(resolved.lastIndex(of: "/") ?? resolved.startIndex)]
            _ = try makeParents(of: resolved) { isNew = isNew || $0 == folder }
            if isNew { try place(String(folder)).setMode(folderMode) }
            try place(resolved).replace(bytes, mode: mode)
        } catch let fault as TargetFault {
            throw fault
        } catch PathFault.blocked {
            throw .cannot("write", path: path, .notDirectory)
        } catch {
            throw .cannot("write", path: path, .tooManySymbolicLinkLevels)
        }
    }
}
