import Testing

@testable import LinuxSystem

@Suite struct SearchPaths {
    private let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/firstlight/bin"]

    @Test("PATH counts under the original's name", arguments: ["ignition", "/usr/bin/ignition", "ignition-apply"])
    func original(name: String) {
        let path = Command.searchPath(calledAs: name, path: "/opt/bin:.::relative:/usr/bin")
        #expect(path == ["/opt/bin", "/usr/bin", "/usr/sbin", "/sbin", "/bin", "/usr/lib/firstlight/bin"])
        #expect(Command.searchPath(calledAs: name, path: nil) == usual)
    }

    @Test(arguments: ["firstlight", "/init", "", "/opt/ignition/firstlight"]) func ours(name: String) {
        #expect(Command.searchPath(calledAs: name, path: "/opt/bin") == usual)
    }
}
