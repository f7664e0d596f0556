// Any bytes as a Butane config: translated, reported, and what is made of it read as Ignition.

@testable import Butane
@testable import IgnitionConfig

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var options = Butane.Options()
    options.isRaw = count % 2 == 0
    options.isPretty = count % 3 == 0
    try? options.variables.set("name", to: "0644")
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    let outcome = Butane.translate(bytes, name: "fuzz", localFiles: localFiles, options: options)
    precondition((outcome.output == nil) == (outcome.failure != nil), "an output and a failure, or neither")
    precondition(outcome.output == nil || !outcome.report.hasErrors, "an output in spite of errors")
    _ = outcome.report.pretty(outcome.texts, isColoured: count % 2 == 1)
    _ = outcome.report.rawLines
    guard let output = outcome.output, output.first == UInt8(ascii: "{") else { return 0 }
    precondition(IgnitionConfig.parse(output, name: "made").report.errors.isEmpty, "what was made is not a config")
    return 0
}

private let localFiles = LocalFiles(
    hasFiles: true,
    read: { path throws(LocalFiles.Fault) in
        guard path.utf8.count < 8 else { throw .system("open \(path): no such file or directory") }
        return Array(path.utf8)
    },
    walk: { path throws(LocalFiles.Fault) in
        guard path.utf8.count < 4 else { throw .notDirectory }
        return [
            .init(path: ".", kind: .directory), .init(path: "a", kind: .file(isExecutable: true)),
            .init(path: "b", kind: .link(target: path)), .init(path: "c", kind: path.isEmpty ? .other : .directory),
        ]
    },
    include: { path throws(LocalFiles.Fault) in
        Array("variant: firstlight\nversion: 1.0.0\ninclude: [\(path)x]\nstorage: {files: [{path: /i}]}\n".utf8)
    })
