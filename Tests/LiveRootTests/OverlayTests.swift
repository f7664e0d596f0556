import Testing

@testable import LiveRoot

@Suite struct Overlays {
    @Test func theWritableLayerHasItsSizeAndNoLimitOfInodes() {
        #expect(OverlayRoot.layerOptions(size: "50%") == "size=50%,nr_inodes=0,mode=0700")
    }
}
