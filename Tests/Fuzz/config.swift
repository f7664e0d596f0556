// Any bytes as a config: read, told, written again, merged.

@testable import IgnitionConfig

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let parsed = IgnitionConfig.parse(Array(UnsafeBufferPointer(start: data, count: count)), name: "fuzz")
    let report = parsed.report
    precondition(!report.description.isEmpty && report.ignitionLines.count <= report.diagnostics.count)
    precondition((parsed.config == nil) == !report.errors.isEmpty, "errors and a config, or neither")
    guard var config = parsed.config else { return 0 }
    let written = config.json
    config.ignition.version = .newest
    let again = try? IgnitionConfig.decode(Array(written.text().utf8), name: "written")
    precondition(again == config, "written and read again it is another config")
    precondition(config.merged(with: IgnitionConfig()) == config, "merged with nothing it is another config")
    precondition(IgnitionConfig().merged(with: config) == config, "nothing merged with it is another config")
    _ = config.merged(with: config).validate()
    return 0
}
