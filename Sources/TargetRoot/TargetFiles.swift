// Small files of the target that something other than the files stage looks at or leaves there. Every path is
// looked up as if the target's root were /.

import FilePlanning
import Glibc
import LinuxSystem
import SystemPackage

extension TargetRoot {
    /// Whether something is at a path, be it a dangling link; links in its parents are followed.
    public func has(_ path: String) -> Bool { (try? place(path))?.status != nil }

    /// What the link at a path says; `nil` where there is none.
    public func link(at path: String) -> String? { (try? place(path))?.linkTarget }

    /// Where a path leads, links at its end followed too; `nil` where that is nowhere.
    public func destination(of path: String) -> String? {
        guard let place = try? follow(path), has(place) else { return nil }
        return place
    }

    /// Replaces what is at a path by a file of root's, in one step; a link at its end is replaced, not followed.
    ///
    /// - Parameter folderMode: Of the folder that it is in, where that is missing; those above are made with 0755.
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
