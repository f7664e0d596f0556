// Any bytes as an installer config, as what nmstatectl prints, as a keyfile; strings as YAML; patterns.

@testable import BootMedia

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    _ = try? InstallerConfig.check(bytes)
    _ = try? NmstateOutput.keyfiles(parsing: bytes)
    _ = KeyfileCheck.warnings(bytes, name: "a.nmconnection")
    let text = String(decoding: bytes.filter { $0 != 0 }, as: UTF8.self)
    var config = InstallerConfig()
    config.device = text
    config.appendedArguments = [text]
    do { try InstallerConfig.check(Array(config.text.utf8)) } catch { preconditionFailure("\(config.text): \(error)") }
    let node = must { try YAMLNode(parsing: Array("a: \(yamlScalar(text))\n".utf8)) }
    precondition(node?.members?.first?.value.string == text, "\(text) is not read back")
    if let glob = try? ArchiveGlob(parsing: [text]) { _ = glob.matches(text) }
    if let console = try? ConsoleSpec(parsing: text) {
        precondition(must { try ConsoleSpec(parsing: console.description) } == console)
    }
    return 0
}

/// What cannot fail.
private func must<Value>(_ body: () throws -> Value) -> Value {
    do { return try body() } catch { preconditionFailure("\(error)") }
}
