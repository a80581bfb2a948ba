//! A TPM 2.0 as the keeper of the sealing key of [`crate::holder::Sealed`], so that what stands in
//! the slots is worth nothing on another machine.
//!
//! The ID² keys of devices are symmetric as a rule, and a TPM is no place for those: it encrypts in
//! ECB with imported keys only where its maker allows it. So it keeps the key that seals them: 32
//! bytes of its own random source, as an object that only this TPM can load (under the storage key of
//! the owner's hierarchy, which is made anew from its seed each time). They travel from the TPM
//! encrypted, in a session salted with that storage key.

use credential::id2::KeyError;
use std::vec::Vec;
use tss_esapi::{
    Context, TctiNameConf,
    attributes::{ObjectAttributesBuilder, SessionAttributesBuilder},
    constants::SessionType,
    handles::{KeyHandle, SessionHandle},
    interface_types::{
        algorithm::{HashingAlgorithm, PublicAlgorithm},
        ecc::EccCurve,
        resource_handles::Hierarchy,
        session_handles::AuthSession,
    },
    structures::{
        EccPoint, KeyedHashScheme, Private, Public, PublicBuilder, PublicEccParametersBuilder,
        PublicKeyedHashParameters, SensitiveData, SymmetricDefinition, SymmetricDefinitionObject,
    },
    traits::{Marshall, UnMarshall},
};
use zeroize::Zeroizing;

/// Bytes of the key.
const KEY: usize = 32;
/// More than any blob of ours has.
const BLOB_MAX: usize = 4096;

/// A connection to a TPM.
pub struct Tpm(Context);

impl Tpm {
    /// Connects: `device:/dev/tpmrm0` (the kernel's resource manager), `swtpm:host=…,port=…`, or
    /// another name of the TCTI library.
    ///
    /// # Errors
    /// [`KeyError::Communication`].
    pub fn connect(tcti: &str) -> Result<Tpm, KeyError> {
        let name: TctiNameConf = tcti.parse().map_err(|_| KeyError::Communication)?;
        Ok(Tpm(Context::new(name).map_err(|_| KeyError::Communication)?))
    }

    /// A new sealing key, as the blob that only this TPM can open. It is no secret, and it is lost
    /// when the TPM is cleared.
    ///
    /// # Errors
    /// [`KeyError::Failed`] when the TPM refuses.
    pub fn seal(&mut self) -> Result<Vec<u8>, KeyError> {
        self.with_storage_key(KeyError::Failed, |context, storage, session| {
            let random = context.execute_with_session(Some(session), |c| c.get_random(KEY))?;
            if random.value().len() != KEY {
                return Err(tss_esapi::Error::WrapperError(
                    tss_esapi::WrapperErrorKind::WrongParamSize,
                ));
            }
            let key = SensitiveData::try_from(random.value().to_vec())?;
            let made = context.execute_with_session(Some(session), |context| {
                context.create(storage, sealed_object()?, None, Some(key), None, None)
            })?;
            let public = made.out_public.marshall()?;
            let len = u16::try_from(public.len()).unwrap_or(u16::MAX);
            Ok([&len.to_be_bytes()[..], &public, made.out_private.value()].concat())
        })
    }

    /// The sealing key in a blob of [`Tpm::seal`].
    ///
    /// # Errors
    /// [`KeyError::BadCipher`] when the blob is damaged or of another TPM, [`KeyError::Failed`] when
    /// the TPM does not work.
    pub fn unseal(&mut self, blob: &[u8]) -> Result<Zeroizing<[u8; KEY]>, KeyError> {
        let (public, private) = parts(blob).ok_or(KeyError::BadCipher)?;
        let key = self.with_storage_key(KeyError::BadCipher, |context, storage, session| {
            let object = context.execute_with_session(Some(session), |context| {
                context.load(storage, private, public)
            })?;
            let key = context
                .execute_with_session(Some(session), |context| context.unseal(object.into()));
            context.flush_context(object.into())?;
            key
        })?;
        let mut out = Zeroizing::new([0; KEY]);
        if key.value().len() != KEY {
            return Err(KeyError::BadCipher);
        }
        out.copy_from_slice(key.value());
        Ok(out)
    }

    /// Runs `body` with the storage key and a session that is salted with it and encrypts both ways,
    /// and takes both out of the TPM again: it has room for three. When the TPM refuses the body,
    /// that is `refused`; before, it is a TPM that cannot do its work.
    fn with_storage_key<T>(
        &mut self,
        refused: KeyError,
        body: impl FnOnce(&mut Context, KeyHandle, AuthSession) -> tss_esapi::Result<T>,
    ) -> Result<T, KeyError> {
        let context = &mut self.0;
        let storage = context
            .execute_with_nullauth_session(|context| {
                context.create_primary(Hierarchy::Owner, storage_key()?, None, None, None, None)
            })
            .map_err(|_| KeyError::Failed)?
            .key_handle;
        let session = salted(context, storage);
        let done = session.map(|session| {
            let done = body(context, storage, session);
            let flushed = context.flush_context(SessionHandle::from(session).into());
            done.and_then(|done| flushed.map(|()| done))
        });
        let flushed = context.flush_context(storage.into());
        let done = done.map_err(|_| KeyError::Failed)?;
        let done = done.map_err(|_| refused)?;
        flushed.map_err(|_| KeyError::Failed)?;
        Ok(done)
    }
}

fn salted(context: &mut Context, storage: KeyHandle) -> tss_esapi::Result<AuthSession> {
    let session = context.start_auth_session(
        Some(storage),
        None,
        None,
        SessionType::Hmac,
        SymmetricDefinition::AES_128_CFB,
        HashingAlgorithm::Sha256,
    )?;
    let session = session.ok_or(tss_esapi::Error::WrapperError(
        tss_esapi::WrapperErrorKind::InvalidHandleState,
    ))?;
    let (attributes, mask) = SessionAttributesBuilder::new()
        .with_decrypt(true)
        .with_encrypt(true)
        .build();
    context.tr_sess_set_attributes(session, attributes, mask)?;
    Ok(session)
}

fn storage_key() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new_restricted_decryption_key(
        SymmetricDefinitionObject::AES_128_CFB,
        EccCurve::NistP256,
    );
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters.build()?)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

fn sealed_object() -> tss_esapi::Result<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_no_da(true)
        .with_user_with_auth(true)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::KeyedHash)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_keyed_hash_parameters(PublicKeyedHashParameters::new(KeyedHashScheme::Null))
        .with_keyed_hash_unique_identifier(Default::default())
        .build()
}

/// Two bytes of length, the public area, the private one.
fn parts(blob: &[u8]) -> Option<(Public, Private)> {
    if blob.len() > BLOB_MAX {
        return None;
    }
    let (len, rest) = blob.split_first_chunk::<2>()?;
    let (public, private) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((
        Public::unmarshall(public).ok()?,
        Private::try_from(private.to_vec()).ok()?,
    ))
}
