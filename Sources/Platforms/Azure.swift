// Azure: user data from the metadata service, or custom data on the disc that comes with a new machine.

import BootArguments
import Fetching
import Reporting
import SystemPackage

extension PlatformAccess {
    func azureConfig() throws -> [UInt8]? {
        var question = try MetadataRequest(
            "\(linkLocal)/metadata/instance/compute/userData?api-version=2021-01-01&format=text",
            headers: [("Metadata", "true")])
        // While the machine is being created, the service does not know it yet.
        question.exchange.retriedStatuses = [404, 410, 429]
        let config = try decodedBase64(try request(question), .azure)
        return config.isEmpty ? try azureDiscConfig(filesystems: ["udf"]) : config
    }

    /// Waits for the disc, which is recognized by its `ovf-env.xml`, and reads the config from it.
    func azureDiscConfig(filesystems: [String]) throws -> [UInt8]? {
        let (mark, config) = ("ovf-env.xml", "CustomData.bin")
        let wait = Wait(
            for: "a disc with \(mark)", reason: "not there yet",
            advice: ["Check that the machine has the disc that it was made with"])
        return try waits.wait(for: wait) { wait throws(PlatformFailure) in
            while true {
                if waits.isCancelled() { throw .cancelled }
                var faults: [String] = []
                for drive in drives() {
                    // An empty drive, another disc, or a disc that is being changed: this is not the one, or not yet.
                    do {
                        let found = try files(drive, filesystems, [mark, config])
                        if found[mark] != nil { return found[config] }
                        faults.append("\(drive) holds another disc")
                    } catch {
                        faults.append("\(error)")
                    }
                }
                let reason = faults.isEmpty ? "there is no drive for discs" : faults.joined(separator: "; ")
                wait.change { $0.reason = reason }
                _ = device([], 1)
            }
        }
    }
}
