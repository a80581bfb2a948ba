//! Firmware actions on what is not there; what they do with what is there is shown from outside.

use crate::stage::Stage;

/// [AL-7.1] [AL-4.2] Whoever names a package, job, task or product that is not there is told so.
#[tokio::test]
async fn what_is_not_there_is_told() {
    let stage = Stage::set().await;
    let none = [
        ("FirmwareId", "000000000007"),
        ("JobId", "000000000008"),
        ("ProductKey", "a1nothing"),
        ("DeviceName", "lamp1"),
        ("DeviceName.1", "lamp1"),
        ("TargetDeviceName.1", "lamp1"),
        ("TaskId.1", "000000000008-abc"),
        ("ModuleName", "modem"),
        ("FirmwareName", "fw"),
        ("DestVersion", "2.0"),
        ("FirmwareUrl", "https://elsewhere/fw.bin"),
        ("TargetSelection", "ALL"),
        ("UpgradeType", "STATIC"),
        ("MaximumPerMinute", "10"),
        ("CancelQueuedTask", "true"),
        ("PageSize", "10"),
        ("CurrentPage", "1"),
    ];
    for action in [
        "CreateOTAFirmware",
        "ModifyOTAFirmware",
        "DeleteOTAFirmware",
        "QueryOTAFirmware",
        "CreateOTAModule",
        "UpdateOTAModule",
        "DeleteOTAModule",
        "ListOTAModuleByProduct",
        "ListOTAModuleVersionsByDevice",
        "CreateOTAVerifyJob",
        "CreateOTAStaticUpgradeJob",
        "CreateOTADynamicUpgradeJob",
        "QueryOTAJob",
        "UpdateOTAJob",
        "ListOTAJobByFirmware",
        "ListOTAJobByDevice",
        "ListOTATaskByJob",
        "ListOTAUnfinishedTaskByDevice",
        "CancelOTATaskByJob",
        "CancelOTATaskByDevice",
        "CancelOTAStrategyByJob",
        "ConfirmOTATask",
        "ReupgradeOTATask",
    ] {
        let code = stage.code(action, &none).await;
        assert!(code.starts_with("iot."), "{action}: {code}");
    }
    let pages = [("PageSize", "10"), ("CurrentPage", "1")];
    assert_eq!(stage.ok("ListOTAFirmware", &pages).await["Total"], 0);
    for action in ["GenerateOTAUploadURL", "GenerateDeviceNameListURL"] {
        let ticket = stage.ok(action, &[]).await;
        assert!(ticket["Data"]["Policy"].is_string(), "{action}: {ticket}");
    }
}
