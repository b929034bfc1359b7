//! A company's profile from its home page, each field with its confidence.

mod country;
mod fields;
mod founded;
mod home;
mod imprint;
mod in_text;
mod logo;
mod organization;
mod phones;
mod postal;
mod staff;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use self::fields::Profile;
pub(super) use self::home::profile;
