// VMware: the config is among the variables of the virtual machine, or in its OVF environment.

private let dataName = "ignition.config.data"
private let encodingName = "ignition.config.data.encoding"

extension PlatformAccess {
    func vmwareConfig() throws -> [UInt8]? {
        let environment = try guestInformation.value(of: "ovfenv") ?? []
        func value(_ name: String) throws -> [UInt8] {
            try guestInformation.value(of: name) ?? ovfProperty("guestinfo.\(name)", in: environment) ?? []
        }
        let data = try value(dataName)
        let encoding = String(decoding: try value(encodingName), as: UTF8.self)
        switch encoding {
        case "": return data
        case "b64", "base64": return try decodedBase64(data, .vmware)
        case "gz", "gzip": return try gunzipped(data, .vmware)
        case "gz+base64", "gz+b64", "gzip+base64", "gzip+b64":
            return try gunzipped(try decodedBase64(data, .vmware), .vmware)
        default: throw PlatformFailure.unknownEncoding(.vmware, encoding)
        }
    }

    /// Empties the variables; the OVF environment cannot be changed.
    func removeVMwareConfig() throws {
        // A variable that does not exist is not created.
        for name in [dataName, encodingName] where try guestInformation.value(of: name)?.isEmpty == false {
            try guestInformation.set(name, to: "")
        }
    }
}
