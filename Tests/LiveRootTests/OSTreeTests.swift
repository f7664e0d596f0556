import Foundation
import LinuxSystem
import Reporting
import SystemPackage
import Testing

@testable import LiveRoot

/// Images that are not a root by themselves, as folders.
@Suite final class OSTreeDeployments {
    private let image = FilePath(NSTemporaryDirectory()).appending("firstlight-\(UUID().uuidString)")

    deinit { try? FileManager.default.removeItem(atPath: image.string) }

    private func makeFolders(_ paths: String...) throws {
        for path in paths { try Files.makeFolder(image.appending(path)) }
    }

    /// As ostree lays it out: `boot.1` is a link itself, and leads to links.
    private func deploy(_ system: String, kernel: String, checksum: String, boot: String = "boot.1") throws {
        try makeFolders(
            "ostree/repo", "ostree/\(boot).1/\(system)/\(kernel)", "ostree/deploy/\(system)/deploy/\(checksum).0")
        try Files.makeLink(image.appending("ostree/\(boot)"), to: "\(boot).1")
        try Files.makeLink(
            image.appending("ostree/\(boot).1/\(system)/\(kernel)/0"),
            to: "../../../deploy/\(system)/deploy/\(checksum).0")
    }

    @Test("the deployment is found behind the boot loader's link", arguments: ["boot.0", "boot.1"])
    func isFound(_ boot: String) throws {
        try deploy("fedora-coreos", kernel: "0d5e", checksum: "8f3a", boot: boot)
        let found = try #require(try OSTreeDeployment(in: image))
        #expect(found.link == "/ostree/\(boot)/fedora-coreos/0d5e/0")
        #expect(found.folder == "/ostree/deploy/fedora-coreos/deploy/8f3a.0")
        #expect(found.system == "fedora-coreos")
    }

    @Test func aRootWithARepositoryIsARoot() throws {
        try makeFolders("ostree/repo", "usr/bin")
        #expect(try OSTreeDeployment(in: image) == nil)
        try makeFolders("elsewhere")
        #expect(try OSTreeDeployment(in: image.appending("elsewhere")) == nil)
    }

    @Test func whatIsNotDeployedOnceIsRefused() throws {
        try makeFolders("ostree/repo", "ostree/boot.1")
        #expect(throws: OSTreeDeployment.Failure.none) { try OSTreeDeployment(in: self.image) }
        rmdir(image.appending("ostree/boot.1").string)
        try deploy("one", kernel: "a", checksum: "1")
        try deploy("two", kernel: "b", checksum: "2")
        let links = ["/ostree/boot.1/one/a/0", "/ostree/boot.1/two/b/0"]
        #expect(throws: OSTreeDeployment.Failure.several(links)) { try OSTreeDeployment(in: self.image) }
    }

    @Test func aLinkThatLeadsOutOfTheImageIsRefused() throws {
        try deploy("one", kernel: "a", checksum: "1")
        try Files.makeLink(image.appending("ostree/boot.1.1/one/a/0"), to: "../../../../../..")
        #expect(throws: OSTreeDeployment.Failure.broken("/ostree/boot.1/one/a/0")) {
            try OSTreeDeployment(in: self.image)
        }
    }

    @Test func theCommandLineForIt() throws {
        try deploy("coreos", kernel: "0d5e", checksum: "8f3a")
        let found = try #require(try OSTreeDeployment(in: image))
        #expect(
            OSTreeRoot.commandLine("quiet ignition.firstboot\n", for: found)
                == "quiet ignition.firstboot ostree=/ostree/boot.1/coreos/0d5e/0 ostree.prepare-root.composefs=0\n")
    }
}
