// A root image that is not a root itself: it holds an ostree repository, and a deployment that is the root.

import Glibc
import LinuxSystem
import Reporting
import SystemPackage

/// The deployment of an image in the form of Fedora CoreOS's.
public struct OSTreeDeployment: Equatable, Sendable {
    /// The link by which a boot loader names it, from the top of the image: `/ostree/boot.1/fedora-coreos/0d5e/0`.
    public var link: String
    /// The folder that the link leads to: `/ostree/deploy/fedora-coreos/deploy/8f3a.0`.
    public var folder: String

    /// The name of the system that is deployed: `fedora-coreos`.
    public var system: String { link.split(separator: "/").dropFirst(2).first.map(String.init) ?? "" }

    /// Why an image has no deployment to boot.
    public enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        case none
        case several([String])
        case broken(String)

        /// What happened, for a message.
        public var description: String {
            switch self {
            case .none: "the root image has an ostree repository but no deployment"
            case .several(let links): "the root image has \(links.count) ostree deployments to boot"
            case .broken(let link): "\(link) of the root image does not lead to a deployment"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .none, .broken:
                [
                    "Deploy it when the image is made:", "ostree admin deploy --sysroot=ROOT --os=NAME REF",
                ]
            case .several(let links): ["Leave one of them in the image:"] + links
            }
        }
    }

    /// Finds the deployment in an image that is mounted; `nil` where the image is a root by itself.
    ///
    /// - Parameter image: Where it is mounted.
    /// - Throws: ``Failure`` where it has a repository, but not exactly one deployment.
    public init?(in image: FilePath) throws(Failure) {
        guard Files.isFolder(image.appending("ostree/repo")), !Files.exists(image.appending("usr")) else { return nil }
        let links = ["boot.1", "boot.0"].lazy.map { Self.links(below: "ostree/\($0)", of: image) }.first { !$0.isEmpty }
        guard let links, let link = links.first else { throw .none }
        guard links.count == 1 else { throw .several(links.map { "/\($0)" }) }
        let top = Files.resolved(image) ?? image
        guard let end = Files.resolved(image.appending(link)), end.starts(with: top), Files.isFolder(end) else {
            throw .broken("/\(link)")
        }
        self.link = "/\(link)"
        folder = "/" + end.components.dropFirst(top.components.count).map(\.string).joined(separator: "/")
    }

    /// `ostree/boot.1/SYSTEM/KERNEL/0`: the newest deployment is the first.
    private static func links(below folder: String, of image: FilePath) -> [String] {
        Files.names(in: image.appending(folder)).flatMap { system in
            Files.names(in: image.appending("\(folder)/\(system)")).map { "\(folder)/\(system)/\($0)/0" }
        }.filter { Files.exists(image.appending($0)) }
    }
}
